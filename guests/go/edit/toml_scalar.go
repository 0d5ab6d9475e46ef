package edit

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	clock  = `([01][0-9]|2[0-3]):[0-5][0-9](:([0-5][0-9]|60)(\.[0-9]+)?)?`
	day    = `[0-9]{4}-[0-9]{2}-[0-9]{2}`
	offset = `[Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]`
	digits = `(0|[1-9](_?[0-9])*)`
)

var (
	tomlDay     = regexp.MustCompile(`^` + day + `$`)
	tomlWhen    = regexp.MustCompile(`^(` + clock + `|` + day + `([Tt ]` + clock + `(` + offset + `)?)?)$`)
	tomlInteger = regexp.MustCompile(`^([+-]?` + digits +
		`|0x[0-9a-fA-F](_?[0-9a-fA-F])*|0o[0-7](_?[0-7])*|0b[01](_?[01])*)$`)
	tomlFloat = regexp.MustCompile(`^[+-]?(` + digits +
		`(\.[0-9](_?[0-9])*)?([eE][+-]?[0-9](_?[0-9])*)?|inf|nan)$`)
)

func (reader *tomlReader) scalar() any {
	word := reader.while(isOfWord)
	// A date and a time may have a blank between them.
	if tomlDay.MatchString(word) && reader.isAt(" ") && len(reader.rest()) > 1 && isOfWord(reader.rest()[1]) {
		reader.expect(" ")
		word += " " + reader.while(isOfWord)
	}
	plain := strings.ReplaceAll(word, "_", "")
	switch {
	case word == "true" || word == "false":
		return word == "true"
	case tomlInteger.MatchString(word):
		value, err := strconv.ParseInt(plain, 0, 64)
		if err != nil {
			reader.fail("the number is too large")
		}
		return value
	case tomlFloat.MatchString(word):
		// Go knows no nan with a sign.
		value, err := strconv.ParseFloat(strings.Replace(strings.TrimLeft(plain, "+"), "-nan", "nan", 1), 64)
		if err != nil || math.IsInf(value, 0) && !strings.HasSuffix(plain, "inf") {
			reader.fail("the number is too large")
		}
		return value
	case tomlWhen.MatchString(word) && isDay(word):
		return tomlTime(word)
	case word == "":
		reader.fail("expected a value")
	}
	reader.fail(fmt.Sprintf("`%s` is no value", word))
	return nil
}

// Whether the month of a date has that day.
func isDay(word string) bool {
	if len(word) < 10 || !tomlDay.MatchString(word[:10]) {
		return true
	}
	_, err := time.Parse(time.DateOnly, word[:10])
	return err == nil
}

func (reader *tomlReader) string() string {
	for _, quote := range []string{`"""`, "'''"} {
		if reader.take(quote) {
			return reader.lines(quote)
		}
	}
	return reader.line()
}

// A text on one line, in `"` or "'".
func (reader *tomlReader) line() string {
	quote := reader.text[reader.at]
	reader.at++
	isLiteral := quote == '\''
	var text strings.Builder
	for !reader.take(string(quote)) {
		text.WriteString(reader.while(func(char byte) bool {
			return char != quote && char != '\n' && !isControl(char) && (isLiteral || char != '\\')
		}))
		if reader.isAt(`\`) {
			text.WriteRune(reader.escaped())
		} else if !reader.isAt(string(quote)) {
			reader.fail("expected the end of the text")
		}
	}
	return text.String()
}

var tomlJoined = regexp.MustCompile(`^\\[ \t]*\r?\n(?:[ \t]|\r?\n)*`)

// A text on several lines, behind its first three quotes.
func (reader *tomlReader) lines(quote string) string {
	reader.newline()
	isLiteral := quote == "'''"
	var text strings.Builder
	for !reader.take(quote) {
		found := reader.while(func(char byte) bool {
			return char != quote[0] && !isControl(char) && (isLiteral || char != '\\')
		})
		text.WriteString(found)
		switch {
		case found != "" || !isLiteral && reader.match(tomlJoined) != "":
			// A backslash at the end of a line takes it away, with the blanks that follow.
		case reader.take("\r\n"):
			text.WriteString("\r\n")
		case reader.isAt(`\`):
			text.WriteRune(reader.escaped())
		case reader.take(quote[:1]):
			text.WriteByte(quote[0])
		default:
			reader.fail("expected the end of the text")
		}
	}
	// Up to two more quotes are of the text.
	for range 2 {
		if reader.take(quote[:1]) {
			text.WriteByte(quote[0])
		}
	}
	return text.String()
}

var hexEscape = regexp.MustCompile(`^(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})`)

func (reader *tomlReader) escaped() rune {
	reader.expect(`\`)
	if hex := reader.match(hexEscape); hex != "" {
		code, _ := strconv.ParseUint(hex[1:], 16, 32)
		if code > utf8.MaxRune || !utf8.ValidRune(rune(code)) {
			reader.fail("no such character")
		}
		return rune(code)
	}
	for n, escape := range `"\befnrt` {
		if reader.take(string(escape)) {
			return rune("\"\\\b\x1b\f\n\r\t"[n])
		}
	}
	reader.fail("no such escape")
	return 0
}
