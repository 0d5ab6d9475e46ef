// Texts of a TOML document.
const ESCAPES = { b: "\b", e: "\u001b", f: "\f", n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\" };

export function string(reader) {
  for (const quote of ['"""', "'''"]) {
    if (reader.take(quote)) {
      return lines(reader, quote);
    }
  }
  return line(reader);
}

// A text on one line, in `"` or `'`.
export function line(reader) {
  if (reader.take("'")) {
    const text = reader.match(/[^'\u0000-\u0008\u000a-\u001f\u007f]*/y);
    reader.expect("'");
    return text;
  }
  reader.expect('"');
  let text = "";
  while (!reader.take('"')) {
    text += reader.match(/[^"\\\u0000-\u0008\u000a-\u001f\u007f]*/y);
    if (reader.isAt("\\")) {
      text += escaped(reader);
    } else if (!reader.isAt('"')) {
      reader.fail("expected the end of the text");
    }
  }
  return text;
}

// A text on several lines, behind its first three quotes.
function lines(reader, quote) {
  reader.match(/\r?\n/y);
  let text = "";
  for (;;) {
    if (reader.take(quote)) {
      // Up to two more are of the text.
      return text + reader.match(quote === '"""' ? /"{0,2}/y : /'{0,2}/y);
    }
    const found = reader.match(/[^"'\\\u0000-\u0008\u000b-\u001f\u007f]+|\r\n/y);
    const isLiteral = quote === "'''";
    if (found !== "") {
      text += found;
    } else if (reader.isAt("\\") && !isLiteral) {
      // A backslash at the end of a line takes it away, with the blanks that follow.
      const isJoined = reader.match(/\\[ \t]*\r?\n(?:[ \t]|\r?\n)*/y) !== "";
      text += isJoined ? "" : escaped(reader);
    } else {
      const char = reader.match(isLiteral ? /["'\\]/y : /["']/y);
      text += char === "" ? reader.fail("expected the end of the text") : char;
    }
  }
}

function escaped(reader) {
  const hex = reader.match(/\\(?:x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8})/y);
  if (hex !== "") {
    const code = parseInt(hex.slice(2), 16);
    const isChar = code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    return isChar ? String.fromCodePoint(code) : reader.fail("no such character");
  }
  const plain = reader.match(/\\[befnrt"\\]/y);
  return plain === "" ? reader.fail("no such escape") : ESCAPES[plain[1]];
}
