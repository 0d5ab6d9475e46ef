// Lines, blocks between markers, and values of INI files.
#include "text.h"

#include <string.h>

struct line {
    // The end is "\n", "\r\n", or none for the last.
    struct edit_text text, end;
};

// A text as lines, and what is needed to put them together again.
struct lines {
    struct line *all;
    size_t count, room;
    struct edit_text end;
    bool is_closed;
};

static const size_t NOWHERE = (size_t)-1;

// Inserts a line, with its end.
static void insert_with(struct lines *lines, size_t at, struct line line)
{
    EDIT_GROW(lines->all, lines->count, lines->room);
    memmove(lines->all + at + 1, lines->all + at, (lines->count - at) * sizeof line);
    lines->all[at] = line;
    lines->count++;
}

static void insert(struct lines *lines, size_t at, struct edit_text text)
{
    insert_with(lines, at, (struct line){text, lines->end});
}

static void cut(struct lines *lines, size_t at, size_t count)
{
    struct line *from = lines->all + at;
    memmove(from, from + count, (lines->count - at - count) * sizeof *from);
    lines->count -= count;
}

static struct lines split(struct edit_text text)
{
    struct lines lines = {
        .end = edit_end_of(text),
        .is_closed = text.len == 0 || edit_ends(text, WORDS("\n")),
    };
    while (text.len > 0) {
        size_t at = edit_find(text, WORDS("\n"));
        size_t next = at < text.len ? at + 1 : at;
        size_t size = at > 0 && next > at && text.ptr[at - 1] == '\r' ? at - 1 : at;
        struct edit_text piece = edit_until(text, next);
        insert_with(&lines, lines.count,
                    (struct line){edit_until(piece, size), edit_from(piece, size)});
        text = edit_from(text, next);
    }
    return lines;
}

static struct edit_text join(const struct lines *lines)
{
    struct edit_buffer out = {0};
    size_t count = lines->count;
    // A blank line without an end could not be told from none.
    while (!lines->is_closed && count > 0 && lines->all[count - 1].text.len == 0) {
        count--;
    }
    for (size_t n = 0; n < count; n++) {
        struct line line = lines->all[n];
        edit_put(&out, line.text);
        if (n + 1 < count || lines->is_closed) {
            // What was the last line, without an end, may be in the midst now.
            edit_put(&out, line.end.len > 0 ? line.end : lines->end);
        }
    }
    return edit_taken(&out);
}

struct edit_text edit_line_present(struct edit_text text, struct edit_text line)
{
    struct lines lines = split(text);
    for (size_t n = 0; n < lines.count; n++) {
        if (edit_is(lines.all[n].text, line)) {
            return text;
        }
    }
    insert(&lines, lines.count, line);
    return join(&lines);
}

struct edit_text edit_line_absent(struct edit_text text, struct edit_text line)
{
    struct lines lines = split(text);
    for (size_t n = lines.count; n-- > 0;) {
        if (edit_is(lines.all[n].text, line)) {
            cut(&lines, n, 1);
        }
    }
    return join(&lines);
}

static bool is_of_key(struct edit_text there, struct edit_text prefix, struct edit_text line)
{
    return edit_is(there, line) || edit_starts(edit_trim_start(there), prefix);
}

struct edit_text edit_line_key(struct edit_text text, struct edit_text prefix,
                               struct edit_text line)
{
    struct lines lines = split(text);
    size_t first = 0;
    while (first < lines.count && !is_of_key(lines.all[first].text, prefix, line)) {
        first++;
    }
    if (first == lines.count) {
        insert(&lines, first, line);
        return join(&lines);
    }
    lines.all[first].text = line;
    for (size_t n = lines.count; n-- > first + 1;) {
        if (is_of_key(lines.all[n].text, prefix, line)) {
            cut(&lines, n, 1);
        }
    }
    return join(&lines);
}

// The first block: from the last `begin` before the first `end` that closes one; NOWHERE if there is
// none.
static size_t find_block(const struct lines *lines, struct edit_text begin, struct edit_text end,
                         size_t *count)
{
    size_t from = NOWHERE;
    for (size_t n = 0; n < lines->count; n++) {
        if (edit_is(lines->all[n].text, begin)) {
            from = n;
        } else if (from != NOWHERE && edit_is(lines->all[n].text, end)) {
            *count = n + 1 - from;
            return from;
        }
    }
    return NOWHERE;
}

struct edit_text edit_block(struct edit_text text, struct edit_text begin, struct edit_text end,
                            const struct edit_text *content)
{
    struct lines lines = split(text);
    size_t place = NOWHERE, count = 0;
    // Of several blocks the first one counts, and the others go.
    for (size_t at; (at = find_block(&lines, begin, end, &count)) != NOWHERE;) {
        place = place == NOWHERE ? at : place;
        cut(&lines, at, count);
    }
    if (content) {
        size_t at = place == NOWHERE ? lines.count : place;
        struct lines inner = split(*content);
        insert(&lines, at++, begin);
        for (size_t n = 0; n < inner.count; n++) {
            insert(&lines, at++, inner.all[n].text);
        }
        insert(&lines, at, end);
    }
    return join(&lines);
}

// The section that a line begins.
static bool header(struct edit_text line, struct edit_text *name)
{
    line = edit_trim(line);
    size_t close = edit_find(line, WORDS("]"));
    if (!edit_starts(line, WORDS("[")) || close == line.len) {
        return false;
    }
    *name = edit_trim(edit_from(edit_until(line, close), 1));
    return true;
}

// Where the next line of a key is, from the line `at` on, whose section is `*within`.
static size_t next_of(const struct lines *lines, size_t at, struct edit_text *within,
                      struct edit_text section, struct edit_text key)
{
    for (; at < lines->count; at++) {
        struct edit_text line = lines->all[at].text, start = edit_trim_start(line);
        size_t equals = edit_find(line, WORDS("="));
        bool is_comment = edit_starts(start, WORDS("#")) || edit_starts(start, WORDS(";"));
        bool is_header = header(line, within);
        if (!is_header && !is_comment && equals < line.len && edit_is(*within, section) &&
            edit_is(edit_trim(edit_until(line, equals)), key)) {
            break;
        }
    }
    return at;
}

// Removes the lines of a key, from the line `at` on.
static void remove_from(struct lines *lines, size_t at, struct edit_text within,
                        struct edit_text section, struct edit_text key)
{
    while ((at = next_of(lines, at, &within, section, key)) < lines->count) {
        cut(lines, at, 1);
    }
}

// Where a line is added to a section: after the last of its first stretch that is not blank; NOWHERE
// if there is no such section.
static size_t end_of_section(const struct lines *lines, struct edit_text section)
{
    size_t first = 0;
    struct edit_text name = WORDS("");
    bool is_found = section.len == 0;
    for (; !is_found && first < lines->count; first++) {
        is_found = header(lines->all[first].text, &name) && edit_is(name, section);
    }
    if (!is_found) {
        return NOWHERE;
    }
    size_t at = first;
    while (at < lines->count && !header(lines->all[at].text, &name)) {
        at++;
    }
    while (at > first && edit_trim(lines->all[at - 1].text).len == 0) {
        at--;
    }
    return at;
}

struct edit_text edit_ini_set(struct edit_text text, struct edit_text section,
                              struct edit_text key, struct edit_text value)
{
    struct lines lines = split(text);
    struct edit_text within = WORDS("");
    size_t at = next_of(&lines, 0, &within, section, key);
    if (at < lines.count) {
        struct edit_text line = lines.all[at].text;
        size_t after = edit_find(line, WORDS("=")) + 1;
        bool has_blank = edit_starts(edit_from(line, after), WORDS(" "));
        lines.all[at].text =
            edit_join(edit_until(line, after), has_blank ? WORDS(" ") : WORDS(""), value);
        remove_from(&lines, at + 1, within, section, key);
        return join(&lines);
    }
    at = end_of_section(&lines, section);
    if (at == NOWHERE) {
        insert(&lines, lines.count, edit_join(WORDS("["), section, WORDS("]")));
        at = lines.count;
    }
    insert(&lines, at, edit_join(key, WORDS(" = "), value));
    return join(&lines);
}

struct edit_text edit_ini_remove(struct edit_text text, struct edit_text section,
                                 struct edit_text key)
{
    struct lines lines = split(text);
    remove_from(&lines, 0, WORDS(""), section, key);
    return join(&lines);
}
