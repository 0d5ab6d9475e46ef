package edit

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// As deep as objects and lists may hold each other.
const jsonDepth = 127

// JSON as it is written: maps of encoding/json forget the order of keys, and its numbers whether they
// have a fraction. A value is nil, a bool, a string, a whole, a float64, a []any or an *object.
type object struct {
	keys   []string
	values map[string]any
}

// The digits of a whole number that 64 bits hold, with a sign or without.
type whole string

func newObject() *object {
	return &object{values: map[string]any{}}
}

func (object *object) set(key string, value any) {
	if _, isThere := object.values[key]; !isThere {
		object.keys = append(object.keys, key)
	}
	object.values[key] = value
}

func (object *object) remove(key string) {
	delete(object.values, key)
	object.keys = slices.DeleteFunc(object.keys, func(there string) bool { return there == key })
}

type jsonParser struct{ scanner }

func parseJSON(text string) (value any, err error) {
	parser := jsonParser{scanner{text: text}}
	err = caught(func() {
		value = parser.value(0)
		parser.skipBlanks()
		if !parser.isAtEnd() {
			parser.fail("trailing characters")
		}
	})
	return value, err
}

func (parser *jsonParser) skipBlanks() {
	parser.while(func(char byte) bool { return strings.IndexByte(" \t\r\n", char) >= 0 })
}

func (parser *jsonParser) take(token string) bool {
	parser.skipBlanks()
	return parser.scanner.take(token)
}

func (parser *jsonParser) expect(token string) {
	parser.skipBlanks()
	parser.scanner.expect(token)
}

func (parser *jsonParser) value(depth int) any {
	parser.skipBlanks()
	if depth >= jsonDepth && (parser.isAt("{") || parser.isAt("[")) {
		parser.fail("it is too deep")
	}
	switch {
	case parser.take("{"):
		object := newObject()
		for !parser.take("}") {
			if len(object.keys) > 0 {
				parser.expect(",")
			}
			parser.skipBlanks()
			key := parser.string()
			parser.expect(":")
			object.set(key, parser.value(depth+1))
		}
		return object
	case parser.take("["):
		list := []any{}
		for !parser.take("]") {
			if len(list) > 0 {
				parser.expect(",")
			}
			list = append(list, parser.value(depth+1))
		}
		return list
	case parser.take("null"):
		return nil
	case parser.take("true"):
		return true
	case parser.take("false"):
		return false
	case parser.isAt(`"`):
		return parser.string()
	}
	return parser.number()
}

var jsonNumber = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?`)

func (parser *jsonParser) number() any {
	digits := parser.match(jsonNumber)
	if digits == "" || strings.IndexAny(parser.rest()+" ", "0123456789.+-eE_") == 0 {
		parser.fail("expected a value")
	}
	if digits != "-0" && !strings.ContainsAny(digits, ".eE") {
		_, signed := strconv.ParseInt(digits, 10, 64)
		_, unsigned := strconv.ParseUint(digits, 10, 64)
		if signed == nil || unsigned == nil {
			return whole(digits)
		}
	}
	value, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		parser.fail("the number is out of range")
	}
	return value
}

func (parser *jsonParser) string() string {
	parser.scanner.expect(`"`)
	var out strings.Builder
	for !parser.scanner.take(`"`) {
		out.WriteString(parser.while(func(char byte) bool {
			return char >= ' ' && char != '"' && char != '\\'
		}))
		if parser.isAt(`\`) {
			out.WriteRune(parser.escaped())
		} else if !parser.isAt(`"`) {
			parser.fail("expected the end of the text")
		}
	}
	return out.String()
}

func (parser *jsonParser) escaped() rune {
	parser.scanner.expect(`\`)
	if parser.scanner.take("u") {
		code := parser.hex4()
		if utf16.IsSurrogate(code) && parser.scanner.take(`\u`) {
			code = utf16.DecodeRune(code, parser.hex4())
			if code == utf8.RuneError {
				parser.fail(`half of a pair of "\u"`)
			}
		}
		if utf16.IsSurrogate(code) {
			parser.fail(`half of a pair of "\u"`)
		}
		return code
	}
	for n, escape := range `"\/bfnrt` {
		if parser.scanner.take(string(escape)) {
			return rune("\"\\/\b\f\n\r\t"[n])
		}
	}
	parser.fail("no such escape")
	return 0
}

func (parser *jsonParser) hex4() rune {
	digits := parser.rest()[:min(4, len(parser.rest()))]
	code, err := strconv.ParseUint(digits, 16, 16)
	if err != nil || len(digits) < 4 {
		parser.fail("expected four hexadecimal digits")
	}
	parser.at += 4
	return rune(code)
}
