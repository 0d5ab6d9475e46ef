// A TOML document as a tree that remembers how it was spelled. What surrounds a thing, blanks and
// comments, is its `prefix` and `suffix`; undefined is what is usual there.

export class Key {
  constructor(name) {
    this.name = name;
    // As it was spelled.
    this.spelling = undefined;
    // Around all of `a.b.c`, kept with `c`.
    this.prefix = undefined;
    this.suffix = undefined;
    // Around this part only, at its dots.
    this.dotPrefix = undefined;
    this.dotSuffix = undefined;
  }
}

// A table with a header, one that dotted keys made, one that only headers below it name, or one in
// braces.
export class Table {
  constructor() {
    // Name to `{ key, item }`, where the item is a `Table`, a `Tables` or a `Value`.
    this.items = new Map();
    this.prefix = undefined;
    this.suffix = undefined;
    this.isInline = false;
    // Named by headers below it only, or made by a dotted key.
    this.isImplicit = false;
    this.isDotted = false;
    // Which header of the document it has.
    this.position = undefined;
    // In braces: whether a comma ends the list, and what is behind it.
    this.hasComma = false;
    this.trailing = "";
  }
}

// Tables with headers in double brackets.
export class Tables {
  constructor() {
    this.all = [];
  }
}

// The kind is `text`, `integer` (a `BigInt`), `float`, `flag`, `time` or `list`.
export class Value {
  constructor(kind, value, spelling) {
    this.kind = kind;
    this.value = value;
    this.spelling = spelling;
    this.prefix = undefined;
    this.suffix = undefined;
    // Of a list: whether a comma ends it, and what is behind it.
    this.hasComma = false;
    this.trailing = "";
  }
}
