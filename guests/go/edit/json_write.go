package edit

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

func isSameJSON(a, b any) bool {
	switch a := a.(type) {
	case *object:
		b, isObject := b.(*object)
		return isObject && len(a.keys) == len(b.keys) && !slices.ContainsFunc(a.keys, func(key string) bool {
			there, isThere := b.values[key]
			return !isThere || !isSameJSON(a.values[key], there)
		})
	case []any:
		b, isList := b.([]any)
		return isList && slices.EqualFunc(a, b, isSameJSON)
	}
	switch b.(type) {
	case *object, []any:
		return false
	}
	return a == b
}

// One value a line, each depth indented by indent.
func writeJSON(out *strings.Builder, value any, indent, margin string) {
	inner := margin + indent
	switch value := value.(type) {
	case *object:
		out.WriteString("{")
		for n, key := range value.keys {
			out.WriteString([]string{inner, "," + inner}[min(n, 1)])
			writeJSON(out, key, indent, inner)
			out.WriteString(": ")
			writeJSON(out, value.values[key], indent, inner)
		}
		out.WriteString([]string{"}", margin + "}"}[min(len(value.keys), 1)])
	case []any:
		out.WriteString("[")
		for n, item := range value {
			out.WriteString([]string{inner, "," + inner}[min(n, 1)])
			writeJSON(out, item, indent, inner)
		}
		out.WriteString([]string{"]", margin + "]"}[min(len(value), 1)])
	case string:
		writeJSONText(out, value)
	case float64:
		out.WriteString(floatText(value))
	case nil:
		out.WriteString("null")
	default:
		fmt.Fprint(out, value)
	}
}

// Escapes what must be, and nothing else.
func writeJSONText(out *strings.Builder, text string) {
	out.WriteString(`"`)
	for _, char := range []byte(text) {
		switch at := strings.IndexByte("\"\\\b\f\n\r\t", char); {
		case at >= 0:
			out.WriteString(`\` + `"\bfnrt`[at:at+1])
		case char < ' ':
			fmt.Fprintf(out, `\u%04x`, char)
		default:
			out.WriteByte(char)
		}
	}
	out.WriteString(`"`)
}

// A float with its fraction: 1.0, not 1; with an exponent where it is long.
func floatText(value float64) string {
	sign, digits, point := decimal(value)
	if point > -5 && point <= 16 {
		return sign + withPoint(digits, point)
	}
	fraction := ""
	if len(digits) > 1 {
		fraction = "." + digits[1:]
	}
	plus := ""
	if point > 0 {
		plus = "+"
	}
	return fmt.Sprintf("%s%s%se%s%d", sign, digits[:1], fraction, plus, point-1)
}

// Its sign, the fewest digits that are this float, and how many of them are before the point.
func decimal(value float64) (sign, digits string, point int) {
	if math.Signbit(value) {
		sign = "-"
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(math.Abs(value), 'e', -1, 64), "e")
	point, _ = strconv.Atoi(exponent)
	return sign, strings.Replace(mantissa, ".", "", 1), point + 1
}

func withPoint(digits string, point int) string {
	if point <= 0 {
		return "0." + strings.Repeat("0", -point) + digits
	}
	digits += strings.Repeat("0", max(0, point+1-len(digits)))
	return digits[:point] + "." + digits[point:]
}
