// Package edit has edits of configuration files, as pure functions from the old text to the new one:
// read the file, edit its text as often as needed, write it once.
//
// To apply one twice changes nothing more. Lines keep their ends ("\n" or "\r\n"), new ones get that
// of the first line, and a file without a final newline stays without one.
package edit

import (
	"slices"
	"strings"
	"unicode"
)

// LinePresent has line be in the text, at its end if it is not there.
func LinePresent(text, line string) string {
	lines := split(text)
	if !slices.Contains(lines.texts, line) {
		lines.insert(len(lines.texts), line)
	}
	return lines.join()
}

// LineAbsent has line not be in the text.
func LineAbsent(text, line string) string {
	lines := split(text)
	lines.remove(lines.find(func(there string) bool { return there == line }))
	return lines.join()
}

// LineKey has exactly one line that starts with prefix, blanks before it aside, and that it be line:
// in place of the first such line, or at the end. The line must start with prefix itself; it is found
// again otherwise by its whole text.
func LineKey(text, prefix, line string) string {
	lines := split(text)
	found := lines.find(func(there string) bool {
		return there == line || strings.HasPrefix(trimStart(there), prefix)
	})
	if len(found) == 0 {
		lines.insert(len(lines.texts), line)
		return lines.join()
	}
	lines.texts[found[0]] = line
	lines.remove(found[1:])
	return lines.join()
}

// Block has the lines of content be between a line begin and a line end: in place of what is there
// between them, or at the end of the text. Without content, which is nil, the markers go too. A begin
// that is not closed is taken for an ordinary line.
func Block(text, begin, end string, content *string) string {
	lines := split(text)
	place := -1
	// Of several blocks the first one counts, and the others go.
	for {
		from, to := lines.findBlock(begin, end)
		if from < 0 {
			break
		}
		if place < 0 {
			place = from
		}
		lines.texts = slices.Delete(lines.texts, from, to+1)
		lines.ends = slices.Delete(lines.ends, from, to+1)
	}
	if content == nil {
		return lines.join()
	}
	if place < 0 {
		place = len(lines.texts)
	}
	inner := append(append([]string{begin}, split(*content).texts...), end)
	for n, line := range inner {
		lines.insert(place+n, line)
	}
	return lines.join()
}

// The first block: from the last begin before the first end that closes one; -1 if there is none.
func (lines *lines) findBlock(begin, end string) (from, to int) {
	from = -1
	for n, line := range lines.texts {
		if line == begin {
			from = n
		} else if line == end && from >= 0 {
			return from, n
		}
	}
	return -1, -1
}

// A text as lines, the end of each ("\n", "\r\n", or none for the last), and what is needed to put
// them together again.
type lines struct {
	texts, ends []string
	end         string
	isClosed    bool
}

func split(text string) *lines {
	lines := &lines{end: endOf(text), isClosed: text == "" || strings.HasSuffix(text, "\n")}
	for _, piece := range strings.SplitAfter(text, "\n") {
		line := piece
		if strings.HasSuffix(piece, "\n") {
			line = strings.TrimSuffix(piece[:len(piece)-1], "\r")
		}
		if piece != "" {
			lines.texts = append(lines.texts, line)
			lines.ends = append(lines.ends, piece[len(line):])
		}
	}
	return lines
}

func (lines *lines) insert(at int, line string) {
	lines.texts = slices.Insert(lines.texts, at, line)
	lines.ends = slices.Insert(lines.ends, at, lines.end)
}

func (lines *lines) find(isOne func(string) bool) (places []int) {
	for n, line := range lines.texts {
		if isOne(line) {
			places = append(places, n)
		}
	}
	return places
}

func (lines *lines) remove(places []int) {
	for _, at := range slices.Backward(places) {
		lines.texts = slices.Delete(lines.texts, at, at+1)
		lines.ends = slices.Delete(lines.ends, at, at+1)
	}
}

func (lines *lines) join() string {
	var out strings.Builder
	count := len(lines.texts)
	// A blank line without an end could not be told from none.
	for !lines.isClosed && count > 0 && lines.texts[count-1] == "" {
		count--
	}
	for n := range count {
		out.WriteString(lines.texts[n])
		switch {
		case n == count-1 && !lines.isClosed:
		case lines.ends[n] == "":
			// What was the last line, without an end, is in the midst now.
			out.WriteString(lines.end)
		default:
			out.WriteString(lines.ends[n])
		}
	}
	return out.String()
}

// What was made, which ends its lines with "\n", with the ends of lines that the first line of old
// has, and without one at the end of the text if old has none there.
func withEndsOf(old, made string) string {
	if old != "" && !strings.HasSuffix(old, "\n") {
		made = strings.TrimSuffix(made, "\n")
	}
	if endOf(old) == "\r\n" {
		made = strings.ReplaceAll(strings.ReplaceAll(made, "\r\n", "\n"), "\n", "\r\n")
	}
	return made
}

// How the first line ends, and so what is added.
func endOf(text string) string {
	first, _, found := strings.Cut(text, "\n")
	if found && strings.HasSuffix(first, "\r") {
		return "\r\n"
	}
	return "\n"
}

func trimStart(text string) string {
	return strings.TrimLeftFunc(text, unicode.IsSpace)
}
