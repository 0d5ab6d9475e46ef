// Package export_wit_world is the recipe {{ name }}. Its name is the one that the bindings import;
// build.sh puts it among them, in build/.
package export_wit_world

import (
	"fmt"

	. "go.bytecodealliance.org/pkg/wit/types"
	"wit_component/cerebro_recipe_command"
	"wit_component/cerebro_recipe_context"
	. "wit_component/cerebro_recipe_files"
	"wit_component/cerebro_recipe_log"
	"wit_component/cerebro_recipe_types"
)

const dir = "/opt/{{ name }}"

var asItIs = Attributes{Mode: None[uint32](), Owner: None[Owner]()}

// Deploy makes the machine ready to start the task of this version.
func Deploy() Result[Unit, string] {
	instance := cerebro_recipe_context.Get()
	if made := Directory(dir, asItIs); made.IsErr() {
		return failed("make "+dir, made.Err())
	}
	path := dir + "/greeting"
	text := fmt.Sprintf("hello from %s\n", instance.Version)
	written := Write(path, []byte(text), asItIs)
	if written.IsErr() {
		return failed("write "+path, written.Err())
	}
	line := path + " is new"
	if change := written.Ok(); change.Tag() == cerebro_recipe_types.Change_Unchanged {
		line = path + " is as it was"
	}
	cerebro_recipe_log.Write(cerebro_recipe_log.Level_Info, line)

	mark := dir + "/initialised"
	// Commands know the machine's own paths.
	real := instance.Root + mark
	touch, undo := []string{"/bin/touch", real}, []string{"/bin/rm", "-f", real}
	if touched := runToSuccess(touch, undo, mark); touched.IsErr() {
		return failed("initialise "+dir, touched.Err())
	}
	return Ok[Unit, string](Unit{})
}

// Undeploy removes what Deploy made.
func Undeploy() Result[Unit, string] {
	if removed := Remove(dir); removed.IsErr() {
		return failed("remove "+dir, removed.Err())
	}
	return Ok[Unit, string](Unit{})
}

// Runs a command that must succeed, and that undo takes back, unless mark is there. Nothing else is
// asked of its outcome, so that a plan goes on behind it.
func runToSuccess(argv, undo []string, mark string) Result[cerebro_recipe_types.Change, Error] {
	outcome := cerebro_recipe_command.Run(cerebro_recipe_command.Spec{
		Argv:      argv,
		Guards:    []cerebro_recipe_command.Guard{cerebro_recipe_command.MakeGuardCreates(mark)},
		Semantics: Some(cerebro_recipe_command.Semantics{Undo: Some(undo)}),
	})
	if outcome.IsErr() {
		return Err[cerebro_recipe_types.Change, Error](outcome.Err())
	}
	return outcome.Ok().EnsureSuccess()
}

func failed(what string, err Error) Result[Unit, string] {
	return Err[Unit, string](fmt.Sprintf("%s: %s", what, words(err)))
}

// The host's words: each case of its errors has them.
func words(err cerebro_recipe_types.Error) string {
	switch err.Tag() {
	case cerebro_recipe_types.Error_Denied:
		return err.Denied()
	case cerebro_recipe_types.Error_NotFound:
		return err.NotFound()
	case cerebro_recipe_types.Error_Invalid:
		return err.Invalid()
	case cerebro_recipe_types.Error_TimedOut:
		return err.TimedOut()
	case cerebro_recipe_types.Error_TooLarge:
		return err.TooLarge()
	case cerebro_recipe_types.Error_Unsupported:
		return err.Unsupported()
	case cerebro_recipe_types.Error_Failed:
		return err.Failed()
	default:
		return err.Other()
	}
}
