package edit

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// A case of tests/edits.json.
type edited struct {
	Function  string
	Text      string
	Arguments []json.RawMessage
	Result    *string
	Error     string
}

// Holds the edits to the cases in tests/edits.json, or in the file that EDITS names.
func TestEdits(t *testing.T) {
	path := os.Getenv("EDITS")
	if path == "" {
		path = "../../../tests/edits.json"
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []edited
	if err := json.Unmarshal(content, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("there are no cases")
	}
	for n, one := range cases {
		made, err := one.run(t)
		isGood := err == nil && one.Result != nil && made == *one.Result
		if one.Error != "" {
			isGood = err != nil && strings.Contains(err.Error(), one.Error)
		}
		if !isGood {
			said, _ := json.Marshal(one)
			t.Errorf("case %d: %s\n  got %q, %v", n, said, made, err)
		}
	}
	t.Logf("Go: %d edits", len(cases))
}

func (one edited) run(t *testing.T) (string, error) {
	var texts [3]*string
	for n, argument := range one.Arguments {
		// A patch may be anything.
		_ = json.Unmarshal(argument, &texts[n])
	}
	switch one.Function {
	case "line_present":
		return LinePresent(one.Text, *texts[0]), nil
	case "line_absent":
		return LineAbsent(one.Text, *texts[0]), nil
	case "line_key":
		return LineKey(one.Text, *texts[0], *texts[1]), nil
	case "block":
		return Block(one.Text, *texts[0], *texts[1], texts[2]), nil
	case "ini_set":
		return IniSet(one.Text, *texts[0], *texts[1], *texts[2]), nil
	case "ini_remove":
		return IniRemove(one.Text, *texts[0], *texts[1]), nil
	case "json_merge":
		return JSONMerge(one.Text, one.Arguments[0])
	case "toml_merge":
		return TOMLMerge(one.Text, one.Arguments[0])
	}
	t.Fatalf("there is no function %s", one.Function)
	return "", nil
}
