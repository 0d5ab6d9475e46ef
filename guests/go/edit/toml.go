package edit

import (
	"errors"
	"fmt"
	"strconv"
)

// TOMLMerge merges patch, which is JSON, into a TOML document as RFC 7396 says for JSON: an object is
// merged into a table key by key, null takes a key away, and anything else replaces what is there.
// Comments, order and spelling of all that is not named stay, and so does the comment behind a value. A
// document that says all of it already stays as it is, byte for byte.
func TOMLMerge(text string, patch []byte) (string, error) {
	root, trailing, err := parseTOML(text)
	if err != nil {
		return "", fmt.Errorf("it is no TOML: %w", err)
	}
	wanted, err := parsePatch(patch)
	if err != nil {
		return "", err
	}
	object, isObject := wanted.(*object)
	if !isObject {
		return "", errors.New("a TOML document is a table: expected an object to merge")
	}
	isChanged, err := mergeTOML(root, object, false)
	if err != nil {
		return "", err
	}
	if !isChanged {
		return text, nil
	}
	return withEndsOf(text, writeTOML(root, trailing)), nil
}

// Merges into a table; whether that changed it.
func mergeTOML(table *tomlTable, patch *object, isInline bool) (isChanged bool, err error) {
	for _, key := range patch.keys {
		changed, err := mergeTOMLKey(table, key, patch.values[key], isInline)
		if err != nil {
			return false, fmt.Errorf("`%s`: %w", key, err)
		}
		isChanged = isChanged || changed
	}
	return isChanged, nil
}

func mergeTOMLKey(table *tomlTable, key string, wanted any, isInline bool) (bool, error) {
	if wanted == nil {
		return table.remove(key), nil
	}
	there := table.get(key)
	inner := asTable(there)
	if object, isObject := wanted.(*object); isObject {
		isNew := inner == nil
		if isNew {
			inner = &tomlTable{isInline: isInline}
			table.put(&tomlKey{name: key}, inner)
		}
		changed, err := mergeTOML(inner, object, inner.isInline)
		return changed || isNew, err
	}
	made, err := valueOf(wanted)
	if err != nil {
		return false, err
	}
	value, isValue := there.(*tomlValue)
	if !isValue && (inner == nil || !inner.isInline) {
		table.put(&tomlKey{name: key}, made)
		return true, nil
	}
	if isSameTOML(there, made) {
		return false, nil
	}
	// A patch's object never comes here: what is made is a value.
	if isValue {
		made.(*tomlValue).around = value.around
	} else {
		made.(*tomlValue).around = inner.around
	}
	table.entries[table.find(key)].item = made
	return true, nil
}

// What a patch says, as a value or as a table in braces.
func valueOf(json any) (tomlItem, error) {
	switch json := json.(type) {
	case nil:
		return nil, errors.New("TOML knows no null within a list")
	case []any:
		items := []tomlItem{}
		for _, item := range json {
			made, err := valueOf(item)
			if err != nil {
				return nil, err
			}
			items = append(items, made)
		}
		return &tomlValue{value: items}, nil
	case *object:
		table := &tomlTable{isInline: true}
		for _, key := range json.keys {
			made, err := valueOf(json.values[key])
			if err != nil {
				return nil, fmt.Errorf("`%s`: %w", key, err)
			}
			table.put(&tomlKey{name: key}, made)
		}
		return table, nil
	case whole:
		value, err := strconv.ParseInt(string(json), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("TOML knows no number as large as %s", json)
		}
		return &tomlValue{value: value}, nil
	}
	return &tomlValue{value: json}, nil
}

// Whether two values are the same, however they are spelled.
func isSameTOML(a, b tomlItem) bool {
	if a, b := asTable(a), asTable(b); a != nil && b != nil {
		if len(a.entries) != len(b.entries) {
			return false
		}
		for _, entry := range a.entries {
			there := b.get(entry.key.name)
			if there == nil || !isSameTOML(entry.item, there) {
				return false
			}
		}
		return true
	}
	one, isOne := a.(*tomlValue)
	other, isOther := b.(*tomlValue)
	if !isOne || !isOther {
		return false
	}
	items, isList := one.value.([]tomlItem)
	others, isOtherList := other.value.([]tomlItem)
	if !isList && !isOtherList {
		return one.value == other.value
	}
	if isList != isOtherList || len(items) != len(others) {
		return false
	}
	for n, item := range items {
		if !isSameTOML(item, others[n]) {
			return false
		}
	}
	return true
}
