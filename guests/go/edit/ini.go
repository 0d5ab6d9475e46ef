package edit

import (
	"slices"
	"strings"
)

// IniSet has a key of a section of an INI file have this value; the keys before the first section are
// of the section named by the empty text. A line that is there keeps its place and its spelling of
// "="; others of the same key in that section go. What is missing is added at the section's end.
func IniSet(text, section, key, value string) string {
	lines := split(text)
	if found := lines.places(section, key); len(found) > 0 {
		before, after, _ := strings.Cut(lines.texts[found[0]], "=")
		if strings.HasPrefix(after, " ") {
			value = " " + value
		}
		lines.texts[found[0]] = before + "=" + value
		lines.remove(found[1:])
		return lines.join()
	}
	at := lines.endOfSection(section)
	if at < 0 {
		lines.insert(len(lines.texts), "["+section+"]")
		at = len(lines.texts)
	}
	lines.insert(at, key+" = "+value)
	return lines.join()
}

// IniRemove has a key of a section of an INI file not be there. The section stays.
func IniRemove(text, section, key string) string {
	lines := split(text)
	lines.remove(lines.places(section, key))
	return lines.join()
}

// The section that a line begins.
func header(line string) (name string, isHeader bool) {
	inner, isOpen := strings.CutPrefix(strings.TrimSpace(line), "[")
	name, _, isClosed := strings.Cut(inner, "]")
	return strings.TrimSpace(name), isOpen && isClosed
}

// The lines of a key, in every stretch of its section.
func (lines *lines) places(section, key string) (found []int) {
	within := ""
	for n, line := range lines.texts {
		if name, isHeader := header(line); isHeader {
			within = name
			continue
		}
		name, _, isSet := strings.Cut(line, "=")
		start := trimStart(line)
		isComment := strings.HasPrefix(start, "#") || strings.HasPrefix(start, ";")
		if within == section && isSet && !isComment && strings.TrimSpace(name) == key {
			found = append(found, n)
		}
	}
	return found
}

// Where a line is added to a section: after the last of its first stretch that is not blank; -1 if
// there is no such section.
func (lines *lines) endOfSection(section string) int {
	first := 0
	if section != "" {
		first = 1 + slices.IndexFunc(lines.texts, func(line string) bool {
			name, isHeader := header(line)
			return isHeader && name == section
		})
		if first == 0 {
			return -1
		}
	}
	at := first
	for at < len(lines.texts) {
		if _, isHeader := header(lines.texts[at]); isHeader {
			break
		}
		at++
	}
	for at > first && strings.TrimSpace(lines.texts[at-1]) == "" {
		at--
	}
	return at
}
