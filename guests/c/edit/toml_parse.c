// The tables of a TOML document.
#include "toml.h"

#include <string.h>

void edit_fail_at_key(struct edit_reader *reader, const char *why, struct edit_text name)
{
    edit_fail(reader, edit_join(WORDS("`"), name, edit_words(why)));
}

static struct edit_key *last(const struct edit_path *path)
{
    return path->keys[path->count - 1];
}

// The table that holds the last key of a path; what is missing on the way is made.
static struct edit_toml *descend(struct edit_reader *reader, struct edit_toml *table,
                                 const struct edit_path *path, bool is_dotted)
{
    for (size_t n = 0; n + 1 < path->count; n++) {
        struct edit_key *key = path->keys[n];
        struct edit_toml *there = edit_toml_get(table, key->name);
        if (!there) {
            there = edit_toml_new(TOML_TABLE);
            there->is_implicit = true;
            there->is_dotted = is_dotted;
            edit_toml_put(table, key, there);
        } else if (there->kind == TOML_TABLES) {
            there = there->items[there->count - 1].value;
        } else if (there->kind != TOML_TABLE || there->is_inline ||
                   (is_dotted && !there->is_implicit)) {
            edit_fail_at_key(reader, "` cannot be extended", key->name);
            return table;
        } else {
            there->is_dotted = there->is_dotted || is_dotted;
        }
        table = there;
    }
    return table;
}

// The table that a header begins: a new one, or the one that headers below it have named.
static struct edit_toml *take_table(struct edit_reader *reader, struct edit_toml *root,
                                    const struct edit_path *path)
{
    struct edit_toml *parent = descend(reader, root, path, false);
    struct edit_text name = last(path)->name;
    struct edit_toml *there = edit_toml_get(parent, name);
    if (!there) {
        return edit_toml_new(TOML_TABLE);
    }
    if (there->kind != TOML_TABLE || there->is_inline || !there->is_implicit ||
        there->is_dotted) {
        edit_fail_at_key(reader, "` is a duplicate key", name);
    }
    edit_toml_remove(parent, name);
    return there;
}

// Puts a table that is read to its end where its header says.
static void place(struct edit_reader *reader, struct edit_toml *root,
                  const struct edit_path *path, bool is_of_many, struct edit_toml *table)
{
    struct edit_toml *parent = descend(reader, root, path, false);
    if (!is_of_many) {
        edit_toml_put(parent, last(path), table);
        return;
    }
    struct edit_toml *there = edit_toml_get(parent, last(path)->name);
    if (!there) {
        there = edit_toml_new(TOML_TABLES);
        edit_toml_put(parent, last(path), there);
    }
    if (there->kind != TOML_TABLES) {
        edit_fail_at_key(reader, "` is a duplicate key", last(path)->name);
        return;
    }
    edit_toml_put(there, NULL, table);
}

static struct edit_text read_end_of_line(struct edit_reader *reader)
{
    struct edit_text found = edit_read_blanks_and_comment(reader);
    if (reader->at < reader->all.len && !edit_read_newline(reader)) {
        edit_fail(reader, WORDS("expected the end of the line"));
    }
    return found;
}

// `[a.b]` or `[[a.b]]`: the path, and whether the brackets are double.
static struct edit_path read_header(struct edit_reader *reader, bool *is_of_many)
{
    *is_of_many = edit_take(reader, WORDS("[["));
    if (!*is_of_many) {
        edit_expect(reader, WORDS("["));
    }
    struct edit_text prefix = edit_read_blanks(reader);
    struct edit_path path = edit_read_path(reader);
    edit_around_set(&last(&path)->around, prefix, edit_read_blanks(reader));
    edit_expect(reader, *is_of_many ? WORDS("]]") : WORDS("]"));
    return path;
}

// `key = value`.
static void read_setting(struct edit_reader *reader, struct edit_toml *table,
                         struct edit_text prefix)
{
    struct edit_path path = edit_read_path(reader);
    edit_around_set(&last(&path)->around, prefix, edit_read_blanks(reader));
    edit_expect(reader, WORDS("="));
    struct edit_text before = edit_read_blanks(reader);
    struct edit_toml *value = edit_read_value(reader, 0);
    edit_around_set(&value->around, before, read_end_of_line(reader));
    bool is_dotted = path.count > 1;
    struct edit_toml *parent = descend(reader, table, &path, is_dotted);
    if ((is_dotted && !parent->is_implicit) || edit_toml_get(parent, last(&path)->name)) {
        edit_fail_at_key(reader, "` is a duplicate key", last(&path)->name);
    }
    edit_toml_put(parent, last(&path), value);
}

struct edit_toml *edit_toml_parse(struct edit_reader *reader, struct edit_text *trailing)
{
    struct edit_toml *root = edit_toml_new(TOML_TABLE), *table = root;
    struct edit_path header = {0};
    bool is_of_many = false;
    edit_take(reader, WORDS("\xef\xbb\xbf"));
    for (int position = 0;;) {
        struct edit_text prefix = edit_read_blanks_and_comments(reader);
        bool is_at_end = reader->at == reader->all.len;
        bool is_header = edit_at(reader, WORDS("["));
        if (header.count > 0 && (is_at_end || is_header)) {
            place(reader, root, &header, is_of_many, table);
        }
        if (edit_failed(reader) || is_at_end) {
            *trailing = prefix;
            return root;
        }
        if (!is_header) {
            read_setting(reader, table, prefix);
            continue;
        }
        header = read_header(reader, &is_of_many);
        struct edit_text suffix = read_end_of_line(reader);
        table = is_of_many ? edit_toml_new(TOML_TABLE) : take_table(reader, root, &header);
        table->is_implicit = false;
        table->position = ++position;
        edit_around_set(&table->around, prefix, suffix);
    }
}
