// Package export_wit_world is the health check {{ name }}. Its name is the one that the bindings
// import; build.sh puts it among them, in build/.
package export_wit_world

import (
	"fmt"

	. "go.bytecodealliance.org/pkg/wit/types"
	"wit_component/cerebro_recipe_context"
	. "wit_component/cerebro_recipe_health"
	"wit_component/cerebro_recipe_net"
	"wit_component/cerebro_recipe_types"
)

// Check looks at the instance once.
func Check() Result[Report, string] {
	instance := cerebro_recipe_context.Get()
	if len(instance.Ports) == 0 {
		return Err[Report, string]("the job has no port")
	}
	asked := cerebro_recipe_net.Http(cerebro_recipe_net.HttpProbe{
		Host:    instance.Address,
		Port:    instance.Ports[0].Number,
		Path:    "/",
		Timeout: 1000,
		Limit:   1024,
	})
	if asked.IsErr() {
		report := Report{Status: Status_Critical, Message: words(asked.Err())}
		return Ok[Report, string](report)
	}
	answer := asked.Ok()
	status := Status_Critical
	if answer.Status >= 200 && answer.Status < 400 {
		status = Status_Passing
	}
	return Ok[Report, string](Report{
		Status:  status,
		Message: fmt.Sprintf("status %d", answer.Status),
		Metrics: []Metric{{Name: "response_time", Value: float64(answer.Took) / 1e6, Unit: "s"}},
	})
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
