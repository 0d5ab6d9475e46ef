// The recipe {{ name }}.
//
// Each call runs in an instance of its own, whose memory goes with it: nothing needs to be freed.
// Only what an export returns is, by the bindings, so it must come from malloc.
#include "recipe.h"

#include <stdlib.h>
#include <string.h>

#define DIR "/opt/{{ name }}"

static recipe_string_t text(const char *words)
{
    return (recipe_string_t){(uint8_t *)words, strlen(words)};
}

static recipe_string_t join(recipe_string_t a, recipe_string_t b)
{
    recipe_string_t all = {malloc(a.len + b.len + 1), a.len + b.len};
    memcpy(all.ptr, a.ptr, a.len);
    memcpy(all.ptr + a.len, b.ptr, b.len);
    return all;
}

// All errors of the host have their text in the same place.
static bool failed(const char *what, const cerebro_recipe_types_error_t *why, recipe_string_t *err)
{
    *err = join(text(what), why->val.other);
    return false;
}

// Runs a command that must succeed, and that `undo` takes back, unless `mark` is there. Nothing else
// is asked of its outcome, so that a plan goes on behind it.
static bool run_to_success(recipe_list_string_t argv, recipe_list_string_t undo,
                           recipe_string_t mark, cerebro_recipe_types_error_t *why)
{
    cerebro_recipe_types_change_t change;
    cerebro_recipe_command_own_outcome_t outcome;
    cerebro_recipe_command_guard_t guard = {
        .tag = CEREBRO_RECIPE_COMMAND_GUARD_CREATES,
        .val.creates = mark,
    };
    cerebro_recipe_command_spec_t spec = {
        .argv = argv,
        .guards = {&guard, 1},
        .semantics = {.is_some = true, .val.undo = {.is_some = true, .val = undo}},
    };
    return cerebro_recipe_command_run(&spec, &outcome, why) &&
           cerebro_recipe_command_method_outcome_ensure_success(
               cerebro_recipe_command_borrow_outcome(outcome), &change, why);
}

bool exports_recipe_deploy(recipe_string_t *err)
{
    cerebro_recipe_context_instance_t instance;
    cerebro_recipe_types_change_t change;
    cerebro_recipe_types_error_t why;
    cerebro_recipe_files_attributes_t as_it_is = {0};
    cerebro_recipe_context_get(&instance);

    recipe_string_t path = text(DIR);
    if (!cerebro_recipe_files_directory(&path, &as_it_is, &change, &why)) {
        return failed("make " DIR ": ", &why, err);
    }
    path = text(DIR "/greeting");
    recipe_string_t greeting = join(join(text("hello from "), instance.version), text("\n"));
    recipe_list_u8_t content = {greeting.ptr, greeting.len};
    if (!cerebro_recipe_files_write(&path, &content, &as_it_is, &change, &why)) {
        return failed("write " DIR "/greeting: ", &why, err);
    }
    recipe_string_t line = text(change.tag == CEREBRO_RECIPE_TYPES_CHANGE_UNCHANGED
                                    ? "the greeting is as it was"
                                    : "the greeting is new");
    cerebro_recipe_log_write(CEREBRO_RECIPE_LOG_LEVEL_INFO, &line);

    recipe_string_t mark = text(DIR "/initialised");
    // Commands know the machine's own paths.
    recipe_string_t real = join(instance.root, mark);
    recipe_string_t touch[] = {text("/bin/touch"), real};
    recipe_string_t undo[] = {text("/bin/rm"), text("-f"), real};
    recipe_list_string_t argv = {touch, 2}, back = {undo, 3};
    if (!run_to_success(argv, back, mark, &why)) {
        return failed("initialise " DIR ": ", &why, err);
    }
    return true;
}

bool exports_recipe_undeploy(recipe_string_t *err)
{
    cerebro_recipe_types_change_t change;
    cerebro_recipe_types_error_t why;
    recipe_string_t path = text(DIR);
    if (!cerebro_recipe_files_remove(&path, &change, &why)) {
        return failed("remove " DIR ": ", &why, err);
    }
    return true;
}
