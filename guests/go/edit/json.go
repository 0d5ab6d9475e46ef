package edit

import (
	"fmt"
	"strings"
)

// JSONMerge merges patch, which is JSON too, into a JSON document as RFC 7396 says: an object is merged
// key by key, null takes a key away, and anything else replaces what is there. Keys keep their order
// and the text its indentation; what is of an unusual layout gets one value a line. A document that
// says all of it already stays as it is, byte for byte. Whole numbers beyond 64 bits become floats.
func JSONMerge(text string, patch []byte) (string, error) {
	wanted, err := parsePatch(patch)
	if err != nil {
		return "", err
	}
	var old any = newObject()
	isBlank := strings.TrimSpace(text) == ""
	if !isBlank {
		if old, err = parseJSON(text); err != nil {
			return "", fmt.Errorf("it is no JSON: %w", err)
		}
	}
	made := mergedJSON(old, wanted)
	if !isBlank && isSameJSON(made, old) {
		return text, nil
	}
	var out strings.Builder
	writeJSON(&out, made, indentation(text), "\n")
	return withEndsOf(text, out.String()+"\n"), nil
}

func parsePatch(patch []byte) (any, error) {
	wanted, err := parseJSON(string(patch))
	if err != nil {
		return nil, fmt.Errorf("the patch is no JSON: %w", err)
	}
	return wanted, nil
}

func mergedJSON(old, patch any) any {
	wanted, isObject := patch.(*object)
	if !isObject {
		return patch
	}
	made := newObject()
	if there, isObject := old.(*object); isObject {
		for _, key := range there.keys {
			made.set(key, there.values[key])
		}
	}
	for _, key := range wanted.keys {
		if value := wanted.values[key]; value == nil {
			made.remove(key)
		} else {
			// A key that is there keeps its place: the order is what a person knows the file by.
			made.set(key, mergedJSON(made.values[key], value))
		}
	}
	return made
}

// What the first line that is indented is indented with.
func indentation(text string) string {
	for _, line := range split(text).texts {
		inner := strings.TrimLeft(line, " \t")
		if inner != line && strings.TrimSpace(line) != "" {
			return line[:len(line)-len(inner)]
		}
	}
	return "  "
}
