// Package export_wit_world is the recipe {{ name }}. Its name is the one that the bindings import;
// build.sh puts it among them, in build/.
package export_wit_world

import (
	"fmt"

	. "go.bytecodealliance.org/pkg/wit/types"
	"wit_component/cerebro_recipe_context"
	. "wit_component/cerebro_recipe_files"
	"wit_component/cerebro_recipe_log"
)

const dir = "/opt/{{ name }}"

var asItIs = Attributes{Mode: None[uint32](), Owner: None[Owner]()}

// Deploy makes the machine ready to start the task of this version.
func Deploy() Result[Unit, string] {
	if made := Directory(dir, asItIs); made.IsErr() {
		return failed("make "+dir, made.Err())
	}
	path := dir + "/greeting"
	text := fmt.Sprintf("hello from %s\n", cerebro_recipe_context.Get().Version)
	written := Write(path, []byte(text), asItIs)
	if written.IsErr() {
		return failed("write "+path, written.Err())
	}
	line := fmt.Sprintf("%s: change %d", path, written.Ok().Tag())
	cerebro_recipe_log.Write(cerebro_recipe_log.Level_Info, line)
	return Ok[Unit, string](Unit{})
}

// Undeploy removes what Deploy made.
func Undeploy() Result[Unit, string] {
	if removed := Remove(dir); removed.IsErr() {
		return failed("remove "+dir, removed.Err())
	}
	return Ok[Unit, string](Unit{})
}

func failed(what string, err Error) Result[Unit, string] {
	return Err[Unit, string](fmt.Sprintf("%s: %v", what, err))
}
