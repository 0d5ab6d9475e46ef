package edit

import (
	"fmt"
	"strings"
)

// As deep as values may hold each other, and keys have dots.
const tomlDepth = 80

// Keys and values of a TOML document, read from its text.
type tomlReader struct{ scanner }

func newTOMLReader(text string) *tomlReader {
	reader := &tomlReader{scanner{text: text}}
	reader.take("\ufeff")
	return reader
}

func isBlank(char byte) bool {
	return char == ' ' || char == '\t'
}

// What no text and no comment may hold; the end of a line is not among it.
func isControl(char byte) bool {
	return char < ' ' && char != '\t' && char != '\n' || char == 0x7f
}

func isOfBareKey(char byte) bool {
	isLetter := char >= 'a' && char <= 'z' || char >= 'A' && char <= 'Z'
	return isLetter || char >= '0' && char <= '9' || char == '_' || char == '-'
}

func isOfWord(char byte) bool {
	return strings.IndexByte("=,[]{} \t#\r\n", char) < 0
}

func (reader *tomlReader) newline() bool {
	return reader.take("\n") || reader.take("\r\n")
}

func (reader *tomlReader) blanks() string {
	return reader.while(isBlank)
}

// Blanks, and a comment.
func (reader *tomlReader) blanksAndComment() string {
	start := reader.at
	reader.blanks()
	if reader.isAt("#") {
		reader.while(func(char byte) bool { return char != '\n' && !isControl(char) })
	}
	return reader.text[start:reader.at]
}

// Blanks, ends of lines and comments; of the ends, only "\n" is kept.
func (reader *tomlReader) blanksAndComments() string {
	var found strings.Builder
	for {
		start := reader.at
		found.WriteString(reader.blanksAndComment())
		if reader.newline() {
			found.WriteString("\n")
		}
		if reader.at == start {
			return found.String()
		}
	}
}

// What is left of a line.
func (reader *tomlReader) endOfLine() string {
	found := reader.blanksAndComment()
	if !reader.isAtEnd() && !reader.newline() {
		reader.fail("expected the end of the line")
	}
	return found
}

// "[a.b]" or "[[a.b]]": the path, and whether the brackets are double.
func (reader *tomlReader) header() (path []*tomlKey, isOfMany bool) {
	end := "]"
	if isOfMany = reader.take("[["); isOfMany {
		end = "]]"
	} else {
		reader.expect("[")
	}
	prefix := reader.blanks()
	path = reader.path()
	last(path).set(prefix, reader.blanks())
	reader.expect(end)
	return path, isOfMany
}

// The keys of "a.b.c".
func (reader *tomlReader) path() (path []*tomlKey) {
	before := ""
	for {
		start := reader.at
		key := &tomlKey{dotPrefix: before}
		if reader.isAt(`"`) || reader.isAt("'") {
			key.name = reader.line()
		} else if key.name = reader.while(isOfBareKey); key.name == "" {
			reader.fail("expected a key")
		}
		key.spelling = reader.text[start:reader.at]
		path = append(path, key)
		if len(path) > tomlDepth {
			reader.fail("too many dots")
		}
		end := reader.at
		after := reader.blanks()
		if !reader.take(".") {
			reader.at = end
			return path
		}
		key.dotSuffix = after
		before = reader.blanks()
	}
}

// A value, and what is to be set around it.
func (reader *tomlReader) value(depth int) (tomlItem, *around) {
	if reader.isAt("[") || reader.isAt("{") {
		if depth == tomlDepth {
			reader.fail("too deep")
		}
		if reader.isAt("[") {
			list := reader.list(depth + 1)
			return list, &list.around
		}
		table := reader.table(depth + 1)
		return table, &table.around
	}
	start := reader.at
	value := &tomlValue{}
	if reader.isAt(`"`) || reader.isAt("'") {
		value.value = reader.string()
	} else {
		value.value = reader.scalar()
	}
	value.spelling = reader.text[start:reader.at]
	return value, &value.around
}

func (reader *tomlReader) list(depth int) *tomlValue {
	items := []tomlItem{}
	reader.expect("[")
	for {
		prefix := reader.blanksAndComments()
		if reader.take("]") {
			return &tomlValue{value: items, list: list{len(items) > 0, prefix}}
		}
		value, around := reader.value(depth)
		around.set(prefix, reader.blanksAndComments())
		items = append(items, value)
		if reader.take("]") {
			return &tomlValue{value: items}
		}
		reader.expect(",")
	}
}

// A table in braces.
func (reader *tomlReader) table(depth int) *tomlTable {
	table := &tomlTable{isInline: true}
	reader.expect("{")
	for {
		prefix := reader.blanksAndComments()
		if reader.take("}") {
			table.list = list{len(table.entries) > 0, prefix}
			return table
		}
		path := reader.path()
		last(path).set(prefix, reader.blanksAndComments())
		reader.expect("=")
		before := reader.blanksAndComments()
		value, around := reader.value(depth)
		around.set(before, reader.blanksAndComments())
		reader.addInline(table, path, value)
		if reader.take("}") {
			return table
		}
		reader.expect(",")
	}
}

// Adds to a table in braces.
func (reader *tomlReader) addInline(table *tomlTable, path []*tomlKey, value tomlItem) {
	for _, key := range path[:len(path)-1] {
		there := table.get(key.name)
		if there == nil {
			there = &tomlTable{isInline: true, isImplicit: true, isDotted: true}
			table.put(key, there)
		}
		if table = asTable(there); table == nil || !table.isImplicit {
			reader.fail(fmt.Sprintf("`%s` cannot be extended", key.name))
		}
	}
	key := last(path)
	if table.get(key.name) != nil || len(path) == 1 && table.isDotted {
		reader.fail(fmt.Sprintf("duplicate key `%s`", key.name))
	}
	table.put(key, value)
}
