// TOML files.
import { fromValue } from "./json-text.js";
import { withEndsOf } from "./lines.js";
import { parse } from "./toml-parse.js";
import { Key, Table, Value } from "./toml-tree.js";
import { document } from "./toml-write.js";

// Merges `patch` into a TOML document as RFC 7396 says for JSON: an object is merged into a table
// key by key, `null` takes a key away, and anything else replaces what is there. Comments, order and
// spelling of all that is not named stay, and so does the comment behind a value. A document that
// says all of it already stays as it is, byte for byte.
//
// `patch` is what `JSON.parse` gives; of its numbers, those that are whole become integers.
export function tomlMerge(text, patch) {
  let found;
  try {
    found = parse(text);
  } catch (error) {
    throw `it is no TOML: ${error}`;
  }
  const wanted = fromValue(patch);
  if (!(wanted instanceof Map)) {
    throw "a TOML document is a table: expected an object to merge";
  }
  const isChanged = merge(found.root, wanted, false);
  return isChanged ? withEndsOf(text, document(found)) : text;
}

// Merges into a table; whether that changed it.
function merge(table, patch, isInline) {
  let isChanged = false;
  for (const [key, wanted] of patch) {
    try {
      isChanged = mergeKey(table, key, wanted, isInline) || isChanged;
    } catch (why) {
      throw `\`${key}\`: ${why}`;
    }
  }
  return isChanged;
}

function mergeKey(table, key, wanted, isInline) {
  let there = table.items.get(key)?.item;
  if (wanted === null) {
    return table.items.delete(key);
  }
  if (wanted instanceof Map) {
    const isTable = there instanceof Table;
    if (!isTable) {
      there = new Table();
      there.isInline = isInline;
      put(table, key, there);
    }
    return merge(there, wanted, there.isInline) || !isTable;
  }
  const made = valueOf(wanted);
  const isValue = there instanceof Value || (there instanceof Table && there.isInline);
  if (!isValue) {
    put(table, key, made);
    return true;
  }
  if (isSame(there, made)) {
    return false;
  }
  made.prefix = there.prefix;
  made.suffix = there.suffix;
  table.items.get(key).item = made;
  return true;
}

// In place of what is there, but spelled anew, or at the end.
function put(table, key, item) {
  table.items.set(key, { key: new Key(key), item });
}

// What a patch says, as a value.
function valueOf(json) {
  if (json === null) {
    throw "TOML knows no null within a list";
  }
  if (Array.isArray(json)) {
    return new Value("list", json.map(valueOf));
  }
  if (json instanceof Map) {
    const table = new Table();
    table.isInline = true;
    for (const [key, inner] of json) {
      try {
        put(table, key, valueOf(inner));
      } catch (why) {
        throw `\`${key}\`: ${why}`;
      }
    }
    return table;
  }
  if (typeof json === "bigint") {
    if (json >= 2n ** 63n) {
      throw `TOML knows no number as large as ${json}`;
    }
    return new Value("integer", json);
  }
  return new Value({ string: "text", number: "float", boolean: "flag" }[typeof json], json);
}

// Whether two values are the same, however they are spelled.
function isSame(a, b) {
  if (a instanceof Table && b instanceof Table) {
    const isThere = ([key, { item }]) =>
      b.items.has(key) && isSame(item, b.items.get(key).item);
    return a.items.size === b.items.size && [...a.items].every(isThere);
  }
  if (a.kind !== b.kind || a.kind === "time") {
    return false;
  }
  if (a.kind === "list") {
    const items = b.value;
    return a.value.length === items.length && a.value.every((item, n) => isSame(item, items[n]));
  }
  return a.value === b.value;
}
