// Lines, and blocks between markers.

// Has `line` be in the text, at its end if it is not there.
export function linePresent(text, line) {
  const lines = split(text);
  if (!lines.some((there) => there.text === line)) {
    insert(text, lines, lines.length, line);
  }
  return join(text, lines);
}

// Has `line` not be in the text.
export function lineAbsent(text, line) {
  return join(text, split(text).filter((there) => there.text !== line));
}

// Has exactly one line that starts with `prefix`, blanks before it aside, and that it be `line`: in
// place of the first such line, or at the end. `line` must start with `prefix` itself; it is found
// again otherwise by its whole text.
export function lineKey(text, prefix, line) {
  const lines = split(text);
  const isOne = (there) => there.text === line || trimStart(there.text).startsWith(prefix);
  const first = lines.findIndex(isOne);
  if (first < 0) {
    insert(text, lines, lines.length, line);
    return join(text, lines);
  }
  lines[first].text = line;
  return join(text, lines.filter((there, n) => n <= first || !isOne(there)));
}

// Has the lines of `content` be between a line `begin` and a line `end`: in place of what is there
// between them, or at the end of the text. Without content, the markers go too. A `begin` that is
// not closed is taken for an ordinary line.
export function block(text, begin, end, content) {
  const lines = split(text);
  let place;
  // Of several blocks the first one counts, and the others go.
  for (let found; (found = findBlock(lines, begin, end)); ) {
    place ??= found.from;
    lines.splice(found.from, found.to - found.from + 1);
  }
  if (content !== undefined && content !== null) {
    let at = place ?? lines.length;
    for (const line of [begin, ...linesOf(content), end]) {
      insert(text, lines, at++, line);
    }
  }
  return join(text, lines);
}

// The first block: from the last `begin` before the first `end` that closes one.
function findBlock(lines, begin, end) {
  let from;
  for (const [n, { text }] of lines.entries()) {
    if (text === begin) {
      from = n;
    } else if (text === end && from !== undefined) {
      return { from, to: n };
    }
  }
}

// A text as lines, each with its end: `\n`, `\r\n`, or none for the last.
export function split(text) {
  return pieces(text).map((piece) => {
    const end = piece.endsWith("\r\n") ? "\r\n" : piece.endsWith("\n") ? "\n" : "";
    return { text: piece.slice(0, piece.length - end.length), end };
  });
}

export function insert(text, lines, at, line) {
  lines.splice(at, 0, { text: line, end: endOf(text) });
}

// The edited `lines` of `text` as a text that ends as `text` does.
export function join(text, lines) {
  const isClosed = text === "" || text.endsWith("\n");
  let count = lines.length;
  // A blank line without an end could not be told from none.
  while (!isClosed && count > 0 && lines[count - 1].text === "") {
    count--;
  }
  let out = "";
  for (let n = 0; n < count; n++) {
    const isOpen = n === count - 1 && !isClosed;
    // What was the last line, without an end, may be in the midst now.
    out += lines[n].text + (isOpen ? "" : lines[n].end || endOf(text));
  }
  return out;
}

// `made`, which ends its lines with `\n`, with the ends of lines that the first line of `old` has,
// and without one at the end of the text if `old` has none there.
export function withEndsOf(old, made) {
  const isOpen = old !== "" && !old.endsWith("\n");
  const text = isOpen && made.endsWith("\n") ? made.slice(0, -1) : made;
  return endOf(old) === "\n" ? text : text.replaceAll("\r\n", "\n").replaceAll("\n", "\r\n");
}

// The lines of a text without their ends.
export function linesOf(text) {
  return pieces(text).map((piece) => piece.replace(/\r?\n$/, ""));
}

// What is blank, as Unicode says; JavaScript's own `trim` takes a byte order mark for blank too.
const BLANK = /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

export function trimStart(text) {
  let start = 0;
  while (start < text.length && BLANK.test(text[start])) {
    start++;
  }
  return text.slice(start);
}

export function trim(text) {
  let end = text.length;
  while (end > 0 && BLANK.test(text[end - 1])) {
    end--;
  }
  return trimStart(text.slice(0, end));
}

// Lines with their ends.
function pieces(text) {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

// How the first line ends, and so what is added.
function endOf(text) {
  return /^[^\n]*\r\n/.test(text) ? "\r\n" : "\n";
}
