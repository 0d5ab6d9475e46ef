// Package export_wit_world asks the instance for a page; see ../../SPEC.md. Its name is the one
// that the bindings import.
package export_wit_world

import (
	"encoding/json"
	"fmt"
	"math"

	. "go.bytecodealliance.org/pkg/wit/types"
	"wit_component/cerebro_recipe_context"
	. "wit_component/cerebro_recipe_health"
	"wit_component/cerebro_recipe_net"
	"wit_component/cerebro_recipe_types"
)

// Check looks at the instance once.
func Check() Result[Report, string] {
	report, err := check()
	if err != nil {
		return Err[Report, string](err.Error())
	}
	return Ok[Report, string](report)
}

func check() (report Report, err error) {
	var options map[string]any
	if err := json.Unmarshal([]byte(cerebro_recipe_context.Options()), &options); err != nil {
		return report, err
	}
	path := "/"
	if value, found := options["path"]; found {
		text, isText := value.(string)
		if !isText {
			return report, fmt.Errorf("the option path is not a text")
		}
		path = text
	}
	wanted, err := number(options, "status", 200)
	if err != nil {
		return report, err
	}
	timeout, err := number(options, "timeout", 1000)
	if err != nil {
		return report, err
	}
	instance := cerebro_recipe_context.Get()
	port, err := port(instance, "http")
	if err != nil {
		return report, err
	}

	asked := cerebro_recipe_net.Http(cerebro_recipe_net.HttpProbe{
		Host:    instance.Address,
		Port:    port,
		Path:    path,
		Timeout: timeout,
		Limit:   1024,
	})
	if asked.IsErr() {
		return failed(asked.Err())
	}
	answer := asked.Ok()
	report.Metrics = []Metric{{Name: "response_time", Value: float64(answer.Took) / 1e6, Unit: "s"}}
	report.Message = fmt.Sprintf("%s: %d", path, answer.Status)
	report.Status = Status_Passing
	if uint32(answer.Status) != wanted {
		report.Message += fmt.Sprintf(", expected %d", wanted)
		report.Status = Status_Critical
	}
	return report, nil
}

func failed(err cerebro_recipe_types.Error) (report Report, _ error) {
	switch report.Status = Status_Critical; err.Tag() {
	// The check itself is at fault, not the instance.
	case cerebro_recipe_types.Error_Denied:
		return report, fmt.Errorf("%s", err.Denied())
	case cerebro_recipe_types.Error_Invalid:
		return report, fmt.Errorf("%s", err.Invalid())
	case cerebro_recipe_types.Error_NotFound:
		report.Message = err.NotFound()
	case cerebro_recipe_types.Error_TimedOut:
		report.Message = err.TimedOut()
	case cerebro_recipe_types.Error_TooLarge:
		report.Message = err.TooLarge()
	case cerebro_recipe_types.Error_Unsupported:
		report.Message = err.Unsupported()
	case cerebro_recipe_types.Error_Failed:
		report.Message = err.Failed()
	default:
		report.Message = err.Other()
	}
	return report, nil
}

func number(options map[string]any, name string, standard uint32) (uint32, error) {
	value, found := options[name]
	if !found {
		return standard, nil
	}
	number, isNumber := value.(float64)
	if !isNumber || number != math.Trunc(number) || number < 0 || number > math.MaxUint32 {
		return 0, fmt.Errorf("the option %s is not a whole number", name)
	}
	return uint32(number), nil
}

func port(instance cerebro_recipe_context.Instance, name string) (uint16, error) {
	for _, port := range instance.Ports {
		if port.Name == name {
			return port.Number, nil
		}
	}
	return 0, fmt.Errorf("the job has no port %s", name)
}
