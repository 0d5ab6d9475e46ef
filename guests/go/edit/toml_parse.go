package edit

import "fmt"

// The tables of a document, and what is behind all of them.
func parseTOML(text string) (root *tomlTable, trailing string, err error) {
	root = &tomlTable{}
	err = caught(func() { trailing = newTOMLReader(text).document(root) })
	return root, trailing, err
}

func (reader *tomlReader) document(root *tomlTable) (trailing string) {
	table := root
	var header []*tomlKey
	isOfMany := false
	position := 0
	for {
		prefix := reader.blanksAndComments()
		if header != nil && (reader.isAtEnd() || reader.isAt("[")) {
			reader.place(root, header, isOfMany, table)
		}
		if reader.isAtEnd() {
			return prefix
		}
		if reader.isAt("[") {
			header, isOfMany = reader.header()
			suffix := reader.endOfLine()
			table = &tomlTable{}
			if !isOfMany {
				table = reader.taken(root, header)
			}
			position++
			table.isImplicit, table.position = false, position
			table.around.set(prefix, suffix)
			continue
		}
		path := reader.path()
		last(path).set(prefix, reader.blanks())
		reader.expect("=")
		before := reader.blanks()
		value, around := reader.value(0)
		around.set(before, reader.endOfLine())
		reader.add(table, path, value)
	}
}

func last(path []*tomlKey) *tomlKey {
	return path[len(path)-1]
}

// The table that a header begins: a new one, or the one that headers below it have named.
func (reader *tomlReader) taken(root *tomlTable, path []*tomlKey) *tomlTable {
	parent := reader.descend(root, path[:len(path)-1], false)
	name := last(path).name
	there := parent.get(name)
	if there == nil {
		return &tomlTable{}
	}
	table := asTable(there)
	if table == nil || table.isInline || !table.isImplicit || table.isDotted {
		reader.fail(fmt.Sprintf("duplicate key `%s`", name))
	}
	parent.remove(name)
	return table
}

// Puts a table that is read to its end where its header says.
func (reader *tomlReader) place(root *tomlTable, path []*tomlKey, isOfMany bool, table *tomlTable) {
	parent := reader.descend(root, path[:len(path)-1], false)
	key := last(path)
	if !isOfMany {
		parent.put(key, table)
		return
	}
	there := parent.get(key.name)
	if there == nil {
		there = &tomlTables{}
		parent.put(key, there)
	}
	tables, isTables := there.(*tomlTables)
	if !isTables {
		reader.fail(fmt.Sprintf("duplicate key `%s`", key.name))
	}
	tables.all = append(tables.all, table)
}

func (reader *tomlReader) add(table *tomlTable, path []*tomlKey, value tomlItem) {
	isDotted := len(path) > 1
	parent := reader.descend(table, path[:len(path)-1], isDotted)
	key := last(path)
	if isDotted && !parent.isImplicit || parent.get(key.name) != nil {
		reader.fail(fmt.Sprintf("duplicate key `%s`", key.name))
	}
	parent.put(key, value)
}

// The table at the end of a path, whose missing parts are made.
func (reader *tomlReader) descend(table *tomlTable, path []*tomlKey, isDotted bool) *tomlTable {
	for _, key := range path {
		switch there := table.get(key.name).(type) {
		case nil:
			made := &tomlTable{isImplicit: true, isDotted: isDotted}
			table.put(key, made)
			table = made
		case *tomlTables:
			table = there.all[len(there.all)-1]
		case *tomlTable:
			if there.isInline || isDotted && !there.isImplicit {
				reader.fail(fmt.Sprintf("`%s` cannot be extended", key.name))
			}
			there.isDotted = there.isDotted || isDotted
			table = there
		default:
			reader.fail(fmt.Sprintf("`%s` cannot be extended", key.name))
		}
	}
	return table
}
