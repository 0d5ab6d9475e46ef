// A tree as a TOML document.
import { float } from "./json-text.js";
import { Table, Tables } from "./toml-tree.js";

export function document({ root, trailing }) {
  const tables = [];
  // A table that was added comes behind the one before it in the tree.
  let position = 0;
  visit(root, [], false, (table, path, isOfMany) => {
    position = table.position ?? position;
    tables.push({ position, table, path, isOfMany });
  });
  tables.sort((a, b) => (a.path.length === 0 ? -1 : b.path.length === 0 ? 1 : a.position - b.position));
  let out = "";
  let isFirst = true;
  for (const { table, path, isOfMany } of tables) {
    const lines = linesOf(table, []);
    const isShown = isOfMany || !table.isImplicit || lines.length > 0;
    if (path.length > 0 && isShown) {
      const [open, close] = isOfMany ? ["[[", "]]"] : ["[", "]"];
      out += (table.prefix ?? (isFirst ? "" : "\n")) + open + dotted(path, "", "") + close;
      out += (table.suffix ?? "") + "\n";
    }
    isFirst &&= path.length > 0 ? !isShown : lines.length === 0;
    for (const { path, item } of lines) {
      out += `${dotted(path, "", " ")}=${value(item, " ", "")}\n`;
    }
  }
  return out + trailing;
}

// All tables with headers, whether these are shown or not.
function visit(table, path, isOfMany, tell) {
  if (!table.isDotted) {
    tell(table, path, isOfMany);
  }
  for (const { key, item } of table.items.values()) {
    if (item instanceof Tables) {
      item.all.forEach((one) => visit(one, [...path, key], true, tell));
    } else if (item instanceof Table && !item.isInline) {
      visit(item, [...path, key], false, tell);
    }
  }
}

// What is written as `key = value` in a table, with the tables that its dotted keys made.
function linesOf(table, path) {
  return [...table.items.values()].flatMap(({ key, item }) => {
    if (item instanceof Table && item.isDotted) {
      return linesOf(item, [...path, key]);
    }
    const isHeader = item instanceof Tables || (item instanceof Table && !item.isInline);
    return isHeader ? [] : [{ path: [...path, key], item }];
  });
}

function dotted(path, prefix, suffix) {
  const last = path[path.length - 1];
  const parts = path.map((key, n) => {
    const before = n === 0 ? "" : (key.dotPrefix ?? "");
    const after = key === last ? "" : (key.dotSuffix ?? "");
    return before + (key.spelling ?? keyText(key.name)) + after;
  });
  return (last.prefix ?? prefix) + parts.join(".") + (last.suffix ?? suffix);
}

function value(item, prefix, suffix) {
  return (item.prefix ?? prefix) + bare(item) + (item.suffix ?? suffix);
}

function bare(item) {
  if (item instanceof Table) {
    const lines = linesOf(item, []);
    const inner = lines.map(({ path, item }, n) => {
      const isLast = n === lines.length - 1;
      return `${dotted(path, " ", " ")}=${value(item, " ", isLast ? " " : "")}`;
    });
    return `{${listed(inner, item, item.items.size)}}`;
  }
  if (item.spelling !== undefined) {
    return item.spelling;
  }
  switch (item.kind) {
    case "text":
      return valueText(item.value);
    case "float":
      return float(item.value);
    case "list":
      const inner = item.value.map((one, n) => value(one, n === 0 ? "" : " ", ""));
      return `[${listed(inner, item, inner.length)}]`;
    default:
      return String(item.value);
  }
}

function listed(inner, { hasComma, trailing }, count) {
  return inner.join(",") + (hasComma && count > 0 ? "," : "") + trailing;
}

const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]/;

function keyText(name) {
  if (/^[\w-]+$/.test(name)) {
    return name;
  }
  const isControl = CONTROL.test(name) || name.includes("\n");
  const isPlain = !isControl && !/["\\]/.test(name);
  return isPlain || isControl || name.includes("'") ? quoted(name, '"') : `'${name}'`;
}

// In the quotes that need the fewest escapes.
function valueText(text) {
  const isMultiline = text.includes("\n");
  if (CONTROL.test(text)) {
    return quoted(text, isMultiline ? '"""' : '"');
  }
  const hasBackslash = text.includes("\\");
  if (!hasBackslash && !isMultiline && !text.includes('"')) {
    return quoted(text, '"');
  }
  if (!isMultiline && !text.includes("'")) {
    return `'${text}'`;
  }
  if (!hasBackslash && !text.includes('"""')) {
    return quoted(text, '"""');
  }
  if (!text.includes("'''")) {
    return `'''${isMultiline ? "\n" : ""}${text}'''`;
  }
  return quoted(text, isMultiline ? '"""' : '"');
}

const ESCAPES = { "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", "\\": "\\\\" };

function quoted(text, quote) {
  const isLong = quote === '"""';
  let out = quote + (isLong && text.includes("\n") ? "\n" : "");
  let quotes = 0;
  for (const char of text) {
    quotes = char === '"' ? quotes + 1 : 0;
    if (quotes > (isLong ? 2 : 0)) {
      out += '\\"';
      quotes = 0;
    } else if (char === "\n" && isLong) {
      out += char;
    } else if (char in ESCAPES) {
      out += ESCAPES[char];
    } else if (CONTROL.test(char)) {
      out += `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    } else {
      out += char;
    }
  }
  return out + quote;
}
