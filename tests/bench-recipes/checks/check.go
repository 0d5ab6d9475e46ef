// Package export_wit_world is a health check that always passes: what is left is what a call costs.
package export_wit_world

import (
	. "go.bytecodealliance.org/pkg/wit/types"
	"wit_component/cerebro_recipe_context"
	. "wit_component/cerebro_recipe_health"
)

// Check passes.
func Check() Result[Report, string] {
	id := cerebro_recipe_context.Get().Id
	return Ok[Report, string](Report{Status: Status_Passing, Message: id})
}
