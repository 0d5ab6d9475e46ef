package edit

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// What is thrown by the parsers, and never leaves them.
type failure string

// Runs a parser for its failure.
func caught(parse func()) (err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			why, isFailure := thrown.(failure)
			if !isFailure {
				panic(thrown)
			}
			err = errors.New(string(why))
		}
	}()
	parse()
	return nil
}

// A text that is read from its start to its end.
type scanner struct {
	text string
	at   int
}

func (scanner *scanner) fail(why string) {
	before := scanner.text[:scanner.at]
	line := before[strings.LastIndex(before, "\n")+1:]
	row, column := strings.Count(before, "\n")+1, utf8.RuneCountInString(line)+1
	panic(failure(fmt.Sprintf("%s at line %d column %d", why, row, column)))
}

func (scanner *scanner) rest() string {
	return scanner.text[scanner.at:]
}

func (scanner *scanner) isAtEnd() bool {
	return scanner.at == len(scanner.text)
}

func (scanner *scanner) isAt(token string) bool {
	return strings.HasPrefix(scanner.rest(), token)
}

func (scanner *scanner) take(token string) bool {
	isThere := scanner.isAt(token)
	if isThere {
		scanner.at += len(token)
	}
	return isThere
}

func (scanner *scanner) expect(token string) {
	if !scanner.take(token) {
		scanner.fail("expected `" + token + "`")
	}
}

// Takes what matches a pattern that begins with "^".
func (scanner *scanner) match(pattern *regexp.Regexp) string {
	found := pattern.FindString(scanner.rest())
	scanner.at += len(found)
	return found
}

// Takes bytes as long as they are of some kind.
func (scanner *scanner) while(isOne func(byte) bool) string {
	start := scanner.at
	for scanner.at < len(scanner.text) && isOne(scanner.text[scanner.at]) {
		scanner.at++
	}
	return scanner.text[start:scanner.at]
}
