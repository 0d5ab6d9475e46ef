// A TOML document as a tree.
import { Reader } from "./toml-read.js";
import { Table, Tables } from "./toml-tree.js";

// `{ root, trailing }`: the tables, and what is behind all of them. Throws why it is no TOML.
export function parse(text) {
  const reader = new Reader(text);
  const root = new Table();
  let table = root;
  let position = 0;
  let finish = () => {};
  for (;;) {
    const prefix = reader.blanksAndComments();
    if (reader.isAtEnd()) {
      finish();
      return { root, trailing: prefix };
    }
    if (reader.isAt("[")) {
      finish();
      const { path, isOfMany } = reader.header();
      const suffix = reader.endOfLine();
      table = isOfMany ? new Table() : taken(reader, root, path);
      finish = () => place(reader, root, path, isOfMany, placed);
      const placed = table;
      table.isImplicit = false;
      table.prefix = prefix;
      table.suffix = suffix;
      table.position = ++position;
    } else {
      const path = reader.path();
      const key = path[path.length - 1];
      key.prefix = prefix;
      key.suffix = reader.blanks();
      reader.expect("=");
      const before = reader.blanks();
      const value = reader.value(0);
      value.prefix = before;
      value.suffix = reader.endOfLine();
      add(reader, table, path, value);
    }
  }
}

// The table that a header begins: a new one, or the one that headers below it have named.
function taken(reader, root, path) {
  const parent = descend(reader, root, path.slice(0, -1), false);
  const { name } = path[path.length - 1];
  const there = parent.items.get(name)?.item;
  if (there === undefined) {
    return new Table();
  }
  const isNamed = there instanceof Table && !there.isInline && there.isImplicit && !there.isDotted;
  if (!isNamed) {
    reader.fail(`duplicate key \`${name}\``);
  }
  parent.items.delete(name);
  return there;
}

// Puts a table that is read to its end where its header says.
function place(reader, root, path, isOfMany, table) {
  const parent = descend(reader, root, path.slice(0, -1), false);
  const key = path[path.length - 1];
  if (!isOfMany) {
    parent.items.set(key.name, { key, item: table });
    return;
  }
  const there = parent.items.get(key.name)?.item ?? new Tables();
  if (!(there instanceof Tables)) {
    reader.fail(`duplicate key \`${key.name}\``);
  }
  if (there.all.push(table) === 1) {
    parent.items.set(key.name, { key, item: there });
  }
}

function add(reader, table, path, value) {
  const isDotted = path.length > 1;
  const parent = descend(reader, table, path.slice(0, -1), isDotted);
  const key = path[path.length - 1];
  if ((isDotted && !parent.isImplicit) || parent.items.has(key.name)) {
    reader.fail(`duplicate key \`${key.name}\``);
  }
  parent.items.set(key.name, { key, item: value });
}

// The table at the end of a path, whose missing parts are made.
function descend(reader, table, path, isDotted) {
  for (const key of path) {
    const there = table.items.get(key.name)?.item;
    if (there === undefined) {
      const made = new Table();
      made.isImplicit = true;
      made.isDotted = isDotted;
      table.items.set(key.name, { key, item: made });
      table = made;
    } else if (there instanceof Tables) {
      table = there.all[there.all.length - 1];
    } else if (there instanceof Table && !there.isInline && (there.isImplicit || !isDotted)) {
      there.isDotted ||= isDotted;
      table = there;
    } else {
      reader.fail(`\`${key.name}\` cannot be extended`);
    }
  }
  return table;
}
