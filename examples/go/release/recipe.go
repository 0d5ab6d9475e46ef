// Package export_wit_world keeps releases side by side; see ../../SPEC.md. Its name is the one that
// the bindings import.
package export_wit_world

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	. "go.bytecodealliance.org/pkg/wit/types"
	"wit_component/cerebro_recipe_artifact"
	"wit_component/cerebro_recipe_command"
	"wit_component/cerebro_recipe_context"
	"wit_component/cerebro_recipe_files"
	"wit_component/cerebro_recipe_log"
	"wit_component/cerebro_recipe_release"
	"wit_component/cerebro_recipe_types"
)

type (
	change    = cerebro_recipe_types.Change
	hostError = cerebro_recipe_types.Error
)

// Deploy makes the machine ready to start the task of this version.
func Deploy() Result[Unit, string] {
	return result(deploy())
}

// Undeploy removes what Deploy made.
func Undeploy() Result[Unit, string] {
	return result(undeploy())
}

func deploy() error {
	options, err := parse(cerebro_recipe_context.Options())
	if err != nil {
		return err
	}
	instance := cerebro_recipe_context.Get()
	port, err := port(instance, "http")
	if err != nil {
		return err
	}
	base, version := options.base, instance.Version
	say("deploy %s %s to %s", instance.Job, version, base)

	artifact, err := doing("fetch the artifact", cerebro_recipe_artifact.Fetch(options.artifact))
	if err != nil {
		return err
	}
	layout := cerebro_recipe_release.Layout{
		Base:   base,
		Owner:  None[cerebro_recipe_files.Owner](),
		Shared: []cerebro_recipe_release.Shared{{Path: "log", Directory: true}},
	}
	staged := cerebro_recipe_release.Stage(layout, version, Some(artifact), 1)
	if err := changed("stage "+version, staged); err != nil {
		return err
	}

	directory, err := doing("read app.conf.tmpl", cerebro_recipe_release.Path(base, version))
	if err != nil {
		return err
	}
	template, err := doing("read app.conf.tmpl",
		cerebro_recipe_files.Read(directory+"/app.conf.tmpl", 65_536))
	if err != nil {
		return err
	}
	text := string(template)
	for _, value := range [][2]string{
		{"{{version}}", version},
		{"{{address}}", instance.Address},
		{"{{port}}", fmt.Sprint(port)},
		{"{{greeting}}", options.greeting},
	} {
		text = strings.ReplaceAll(text, value[0], value[1])
	}
	attributes := cerebro_recipe_files.Attributes{
		Mode:  Some[uint32](0o640),
		Owner: None[cerebro_recipe_files.Owner](),
	}
	written := cerebro_recipe_files.Write(directory+"/app.conf", []byte(text), attributes)
	if err := changed("write app.conf", written); err != nil {
		return err
	}

	mark := base + "/shared/initialised"
	touched := runToSuccess(cerebro_recipe_command.Spec{
		Argv:      []string{"/usr/bin/touch", instance.Root + mark},
		Guards:    []cerebro_recipe_command.Guard{cerebro_recipe_command.MakeGuardCreates(mark)},
		Semantics: undoneBy("/usr/bin/rm", "-f", instance.Root+mark),
	})
	if err := changed("touch initialised", touched); err != nil {
		return err
	}

	activated := cerebro_recipe_release.Activate(base, version)
	if err := changed("activate "+version, activated); err != nil {
		return err
	}
	old, err := doing("prune", cerebro_recipe_release.Prune(base, options.keep))
	for _, version := range old {
		say("prune %s", version)
	}
	return err
}

func undeploy() error {
	options, err := parse(cerebro_recipe_context.Options())
	if err != nil {
		return err
	}
	base := options.base
	say("undeploy %s from %s", cerebro_recipe_context.Get().Job, base)
	removed := cerebro_recipe_files.Remove(base + "/shared/initialised")
	if err := changed("remove initialised", removed); err != nil {
		return err
	}
	return changed("leave "+base, cerebro_recipe_release.Leave(base))
}

// Runs a command that must succeed. Nothing else is asked of its outcome, so that a plan goes on
// behind it.
func runToSuccess(spec cerebro_recipe_command.Spec) Result[change, hostError] {
	outcome := cerebro_recipe_command.Run(spec)
	if outcome.IsErr() {
		return Err[change, hostError](outcome.Err())
	}
	return outcome.Ok().EnsureSuccess()
}

// What takes a command back.
func undoneBy(undo ...string) Option[cerebro_recipe_command.Semantics] {
	return Some(cerebro_recipe_command.Semantics{Undo: Some(undo)})
}

// What a job may say.
type options struct {
	base, artifact, greeting string
	keep                     uint32
}

func parse(text string) (options options, err error) {
	var all map[string]any
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return options, err
	}
	options.greeting, options.keep = "hello", 2
	return options, firstOf(
		getText(all, "base", &options.base, true),
		getText(all, "artifact", &options.artifact, true),
		getText(all, "greeting", &options.greeting, false),
		getNumber(all, "keep", &options.keep),
	)
}

func firstOf(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

func getText(options map[string]any, name string, to *string, needed bool) error {
	value, found := options[name]
	if !found {
		if needed {
			return fmt.Errorf("the option %s is missing", name)
		}
		return nil
	}
	text, isText := value.(string)
	if !isText {
		return fmt.Errorf("the option %s is not a text", name)
	}
	*to = text
	return nil
}

func getNumber(options map[string]any, name string, to *uint32) error {
	value, found := options[name]
	if !found {
		return nil
	}
	number, isNumber := value.(float64)
	if !isNumber || number != math.Trunc(number) || number < 0 || number > math.MaxUint32 {
		return fmt.Errorf("the option %s is not a whole number", name)
	}
	*to = uint32(number)
	return nil
}

func port(instance cerebro_recipe_context.Instance, name string) (uint16, error) {
	for _, port := range instance.Ports {
		if port.Name == name {
			return port.Number, nil
		}
	}
	return 0, fmt.Errorf("the job has no port %s", name)
}

func say(format string, values ...any) {
	cerebro_recipe_log.Write(cerebro_recipe_log.Level_Info, fmt.Sprintf(format, values...))
}

// What a change of the host's is called.
func name(change change) string {
	if change.Tag() == cerebro_recipe_types.Change_Other {
		return change.Other()
	}
	return [...]string{"unchanged", "created", "updated", "removed", "done"}[change.Tag()]
}

// Logs what an effect changed.
func changed(what string, effect Result[change, hostError]) error {
	change, err := doing(what, effect)
	if err == nil {
		say("%s: %s", what, name(change))
	}
	return err
}

// Puts what was being done before the host's words.
func doing[T any](what string, effect Result[T, hostError]) (value T, err error) {
	if effect.IsOk() {
		return effect.Ok(), nil
	}
	return value, fmt.Errorf("%s: %s", what, words(effect.Err()))
}

func words(err hostError) string {
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

func result(err error) Result[Unit, string] {
	if err != nil {
		return Err[Unit, string](err.Error())
	}
	return Ok[Unit, string](Unit{})
}
