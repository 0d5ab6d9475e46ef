package edit

// A TOML document is a tree that remembers how it was spelled. What surrounds a thing, blanks and
// comments, is its prefix and suffix; nil is what is usual there.
type around struct {
	prefix, suffix *string
}

func (around *around) set(prefix, suffix string) {
	around.prefix, around.suffix = &prefix, &suffix
}

type tomlKey struct {
	name string
	// As it was spelled.
	spelling string
	// Around all of "a.b.c", kept with "c".
	around
	// Around this part only, at its dots.
	dotPrefix, dotSuffix string
}

// A *tomlTable, a *tomlTables or a *tomlValue.
type tomlItem any

// A table with a header, one that dotted keys made, one that only headers below it name, or one in
// braces.
type tomlTable struct {
	around
	list
	entries  []tomlEntry
	isInline bool
	// Named by headers below it only, or made by a dotted key.
	isImplicit, isDotted bool
	// Which header of the document it has, from 1; 0 if it has none there.
	position int
}

type tomlEntry struct {
	key  *tomlKey
	item tomlItem
}

// Tables with headers in double brackets.
type tomlTables struct {
	all []*tomlTable
}

// The value is a string, an int64, a float64, a bool, a tomlTime or a []tomlItem.
type tomlValue struct {
	around
	list
	value    any
	spelling string
}

// Of a list and of a table in braces: whether a comma ends it, and what is behind it.
type list struct {
	hasComma bool
	trailing string
}

// A date, a time or both, as spelled.
type tomlTime string

// Where a key is, or -1.
func (table *tomlTable) find(name string) int {
	for n, entry := range table.entries {
		if entry.key.name == name {
			return n
		}
	}
	return -1
}

// What a key has, or nil.
func (table *tomlTable) get(name string) tomlItem {
	if at := table.find(name); at >= 0 {
		return table.entries[at].item
	}
	return nil
}

// In place of what is there, its key too, or at the end.
func (table *tomlTable) put(key *tomlKey, item tomlItem) {
	if at := table.find(key.name); at >= 0 {
		table.entries[at] = tomlEntry{key, item}
	} else {
		table.entries = append(table.entries, tomlEntry{key, item})
	}
}

func (table *tomlTable) remove(name string) bool {
	at := table.find(name)
	if at >= 0 {
		table.entries = append(table.entries[:at], table.entries[at+1:]...)
	}
	return at >= 0
}

// An item that is a table in braces or not, or nil.
func asTable(item tomlItem) *tomlTable {
	table, _ := item.(*tomlTable)
	return table
}
