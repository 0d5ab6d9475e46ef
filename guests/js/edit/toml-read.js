// Keys and values of a TOML document, read from its text.
import { scalar } from "./toml-scalar.js";
import { line, string } from "./toml-string.js";
import { Key, Table, Value } from "./toml-tree.js";

// As deep as values may hold each other, and keys have dots.
const DEPTH = 80;

export class Reader {
  constructor(text) {
    this.text = text;
    this.at = text.startsWith("\ufeff") ? 1 : 0;
  }

  fail(why) {
    const lines = this.text.slice(0, this.at).split("\n");
    throw `${why} at line ${lines.length} column ${[...lines[lines.length - 1]].length + 1}`;
  }

  isAtEnd() {
    return this.at === this.text.length;
  }

  isAt(token) {
    return this.text.startsWith(token, this.at);
  }

  take(token) {
    const isThere = this.isAt(token);
    this.at += isThere ? token.length : 0;
    return isThere;
  }

  expect(token) {
    if (!this.take(token)) {
      this.fail(`expected \`${token}\``);
    }
  }

  // What matches here, or the empty text.
  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? "";
    this.at += found.length;
    return found;
  }

  blanks() {
    return this.match(/[ \t]*/y);
  }

  // Blanks, and a comment.
  blanksAndComment() {
    return this.match(/[ \t]*(?:#[^\u0000-\u0008\u000a-\u001f\u007f]*)?/y);
  }

  // Blanks, ends of lines and comments; of the ends, only `\n` is kept.
  blanksAndComments() {
    let found = "";
    for (;;) {
      const start = this.at;
      found += this.blanksAndComment();
      found += this.match(/\r?\n/y) === "" ? "" : "\n";
      if (this.at === start) {
        return found;
      }
    }
  }

  // What is left of a line.
  endOfLine() {
    const found = this.blanksAndComment();
    if (!this.isAtEnd() && this.match(/\r?\n/y) === "") {
      this.fail("expected the end of the line");
    }
    return found;
  }

  // `[a.b]` or `[[a.b]]`.
  header() {
    const isOfMany = this.take("[[");
    if (!isOfMany) {
      this.expect("[");
    }
    const prefix = this.blanks();
    const path = this.path();
    const key = path[path.length - 1];
    key.prefix = prefix;
    key.suffix = this.blanks();
    this.expect(isOfMany ? "]]" : "]");
    return { path, isOfMany };
  }

  // The keys of `a.b.c`.
  path() {
    const path = [];
    let before = "";
    for (;;) {
      const start = this.at;
      const key = new Key(this.isAt('"') || this.isAt("'") ? line(this) : this.match(/[\w-]+/y));
      if (this.at === start) {
        this.fail("expected a key");
      }
      key.spelling = this.text.slice(start, this.at);
      key.dotPrefix = before;
      path.push(key);
      if (path.length > DEPTH) {
        this.fail("too many dots");
      }
      const end = this.at;
      const after = this.blanks();
      if (!this.take(".")) {
        this.at = end;
        return path;
      }
      key.dotSuffix = after;
      before = this.blanks();
    }
  }

  value(depth) {
    if (this.isAt("[") || this.isAt("{")) {
      if (depth === DEPTH) {
        this.fail("too deep");
      }
      return this.isAt("[") ? this.list(depth + 1) : this.table(depth + 1);
    }
    const start = this.at;
    const isText = this.isAt('"') || this.isAt("'");
    const value = isText ? new Value("text", string(this)) : scalar(this);
    value.spelling = this.text.slice(start, this.at);
    return value;
  }

  list(depth) {
    const list = new Value("list", []);
    this.expect("[");
    for (;;) {
      const prefix = this.blanksAndComments();
      if (this.take("]")) {
        list.trailing = prefix;
        list.hasComma = list.value.length > 0;
        return list;
      }
      const value = this.value(depth);
      value.prefix = prefix;
      value.suffix = this.blanksAndComments();
      list.value.push(value);
      if (this.take("]")) {
        return list;
      }
      this.expect(",");
    }
  }

  // A table in braces.
  table(depth) {
    const table = new Table();
    table.isInline = true;
    this.expect("{");
    for (;;) {
      const prefix = this.blanksAndComments();
      if (this.take("}")) {
        table.trailing = prefix;
        table.hasComma = table.items.size > 0;
        return table;
      }
      const path = this.path();
      const key = path[path.length - 1];
      key.prefix = prefix;
      key.suffix = this.blanksAndComments();
      this.expect("=");
      const before = this.blanksAndComments();
      const value = this.value(depth);
      value.prefix = before;
      value.suffix = this.blanksAndComments();
      this.add(table, path, value);
      if (this.take("}")) {
        return table;
      }
      this.expect(",");
    }
  }

  // Adds to a table in braces.
  add(table, path, value) {
    for (const key of path.slice(0, -1)) {
      const there = table.items.get(key.name)?.item;
      if (there === undefined) {
        const made = new Table();
        made.isInline = made.isImplicit = made.isDotted = true;
        table.items.set(key.name, { key, item: made });
        table = made;
      } else if (there instanceof Table && there.isImplicit) {
        table = there;
      } else {
        this.fail(`\`${key.name}\` cannot be extended`);
      }
    }
    const key = path[path.length - 1];
    if (table.items.has(key.name) || (path.length === 1 && table.isDotted)) {
      this.fail(`duplicate key \`${key.name}\``);
    }
    table.items.set(key.name, { key, item: value });
  }
}
