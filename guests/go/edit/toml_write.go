package edit

import (
	"fmt"
	"slices"
	"strings"
)

// A table with a header, where it is.
type placed struct {
	table    *tomlTable
	path     []*tomlKey
	isOfMany bool
	position int
}

// A line "key = value".
type setting struct {
	path []*tomlKey
	item tomlItem
}

func writeTOML(root *tomlTable, trailing string) string {
	var tables []placed
	// A table that was added comes behind the one before it in the tree.
	position := 0
	visit(placed{table: root}, func(one placed) {
		if one.table.position > 0 {
			position = one.table.position
		}
		one.position = position
		tables = append(tables, one)
	})
	slices.SortStableFunc(tables[1:], func(a, b placed) int { return a.position - b.position })
	var out strings.Builder
	isFirst := true
	for _, one := range tables {
		settings := settingsOf(one.table, nil)
		isHeader := len(one.path) > 0
		isShown := len(settings) > 0 || isHeader && (one.isOfMany || !one.table.isImplicit)
		if isHeader && isShown {
			usual := "\n"
			if isFirst {
				usual = ""
			}
			open, end := "[", "]"
			if one.isOfMany {
				open, end = "[[", "]]"
			}
			header := open + dotted(one.path, "", "") + end
			out.WriteString(one.table.around.text(header, usual, "") + "\n")
		}
		isFirst = isFirst && !isShown
		for _, setting := range settings {
			out.WriteString(dotted(setting.path, "", " ") + "=" + tomlText(setting.item, " ", "") + "\n")
		}
	}
	return out.String() + trailing
}

// Tells all tables with headers, whether these are shown or not.
func visit(one placed, tell func(placed)) {
	if !one.table.isDotted {
		tell(one)
	}
	for _, entry := range one.table.entries {
		path := append(slices.Clone(one.path), entry.key)
		switch item := entry.item.(type) {
		case *tomlTables:
			for _, table := range item.all {
				visit(placed{table: table, path: path, isOfMany: true}, tell)
			}
		case *tomlTable:
			if !item.isInline {
				visit(placed{table: item, path: path}, tell)
			}
		}
	}
}

// What is written as "key = value" in a table, with the tables that its dotted keys made.
func settingsOf(table *tomlTable, path []*tomlKey) (settings []setting) {
	for _, entry := range table.entries {
		path := append(slices.Clone(path), entry.key)
		inner := asTable(entry.item)
		_, isValue := entry.item.(*tomlValue)
		switch {
		case inner != nil && inner.isDotted:
			settings = append(settings, settingsOf(inner, path)...)
		case isValue || inner != nil && inner.isInline:
			settings = append(settings, setting{path, entry.item})
		}
	}
	return settings
}

// A text with what is around it, or what usually is.
func (around *around) text(text, prefix, suffix string) string {
	if around.prefix != nil {
		prefix = *around.prefix
	}
	if around.suffix != nil {
		suffix = *around.suffix
	}
	return prefix + text + suffix
}

func dotted(path []*tomlKey, prefix, suffix string) string {
	var out strings.Builder
	for n, key := range path {
		if n > 0 {
			out.WriteString("." + key.dotPrefix)
		}
		if key.spelling != "" {
			out.WriteString(key.spelling)
		} else {
			out.WriteString(keyText(key.name))
		}
		if n < len(path)-1 {
			out.WriteString(key.dotSuffix)
		}
	}
	return last(path).text(out.String(), prefix, suffix)
}

func tomlText(item tomlItem, prefix, suffix string) string {
	if table := asTable(item); table != nil {
		var inner []string
		settings := settingsOf(table, nil)
		for n, setting := range settings {
			end := ""
			if n == len(settings)-1 {
				end = " "
			}
			inner = append(inner, dotted(setting.path, " ", " ")+"="+tomlText(setting.item, " ", end))
		}
		all := "{" + listed(inner, table.list, len(table.entries)) + "}"
		return table.around.text(all, prefix, suffix)
	}
	value := item.(*tomlValue)
	text := value.spelling
	if text == "" {
		text = bare(value)
	}
	return value.around.text(text, prefix, suffix)
}

func bare(item *tomlValue) string {
	switch value := item.value.(type) {
	case []tomlItem:
		var inner []string
		for n, one := range value {
			inner = append(inner, tomlText(one, []string{"", " "}[min(n, 1)], ""))
		}
		return "[" + listed(inner, item.list, len(inner)) + "]"
	case string:
		return valueText(value)
	case float64:
		return floatText(value)
	default:
		return fmt.Sprint(value)
	}
}

func listed(inner []string, list list, count int) string {
	comma := ""
	if list.hasComma && count > 0 {
		comma = ","
	}
	return strings.Join(inner, ",") + comma + list.trailing
}

func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(char rune) bool { return char < 0x80 && isControl(byte(char)) })
}

func keyText(name string) string {
	if name != "" && strings.Trim(name, "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		return name
	}
	needsEscapes := hasControl(name) || strings.Contains(name, "\n")
	if needsEscapes || !strings.ContainsAny(name, `"\`) || strings.Contains(name, "'") {
		return quoted(name, `"`)
	}
	return "'" + name + "'"
}

// In the quotes that need the fewest escapes.
func valueText(text string) string {
	isLong := strings.Contains(text, "\n")
	hasBackslash := strings.Contains(text, `\`)
	quote, newline := `"`, ""
	if isLong {
		quote, newline = `"""`, "\n"
	}
	switch {
	case hasControl(text):
		return quoted(text, quote)
	case !hasBackslash && !isLong && !strings.Contains(text, `"`):
		return quoted(text, `"`)
	case !isLong && !strings.Contains(text, "'"):
		return "'" + text + "'"
	case !hasBackslash && !strings.Contains(text, `"""`):
		return quoted(text, `"""`)
	case !strings.Contains(text, "'''"):
		return "'''" + newline + text + "'''"
	}
	return quoted(text, quote)
}

func quoted(text, quote string) string {
	var out strings.Builder
	out.WriteString(quote)
	isLong := len(quote) == 3
	if isLong && strings.Contains(text, "\n") {
		out.WriteString("\n")
	}
	quotes := 0
	for _, char := range []byte(text) {
		if char == '"' {
			quotes++
		} else {
			quotes = 0
		}
		at := strings.IndexByte("\b\t\n\f\r\\", char)
		switch {
		case quotes > len(quote)-1:
			out.WriteString(`\"`)
			quotes = 0
		case at >= 0 && !(char == '\n' && isLong):
			out.WriteString(`\` + `btnfr\`[at:at+1])
		case isControl(char):
			fmt.Fprintf(&out, `\u%04X`, char)
		default:
			out.WriteByte(char)
		}
	}
	return out.String() + quote
}
