package main

// Is an answer right? The simulator says what would be.

import (
	"encoding/json"
	"fmt"
	"reflect"
)

const right = "right"

// judge compares an answer with the rows that are right. Ours has to say just
// that, in that order, or to say how much it left out; a peer has to name the
// same instances, or regions and numbers, in any order.
func judge(response []byte, want []any, question string, ours bool) string {
	rows, err := bodyOf(response)
	switch {
	case err != nil:
		return err.Error()
	case ours:
		return judgeExactly(rows, want)
	default:
		return judgeFindings(rows, want, question)
	}
}

func judgeExactly(rows, want []any) string {
	shown := len(rows)
	if shown > 0 {
		last, _ := rows[shown-1].(map[string]any)
		if said, ok := last["omitted"].(map[string]any); ok {
			shown--
			if next, _ := said["next"].(string); shown == 0 || next == "" {
				return "wrong: it shows nothing, or does not say where to go on"
			}
			if said["total"] != float64(len(want)) || said["shown"] != float64(shown) || shown >= len(want) {
				return fmt.Sprintf("wrong: it left out %v, but shows %d of %d", said, shown, len(want))
			}
			rows, want = rows[:shown], want[:shown]
		}
	}
	if len(rows) != len(want) {
		return fmt.Sprintf("wrong: %d elements, not %d", len(rows), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(rows[i], want[i]) {
			return fmt.Sprintf("wrong: element %d is %.200s, not %.200s", i, text(rows[i]), text(want[i]))
		}
	}
	return right
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// finding is what a row is about: for a count all of it, else the instance.
func finding(row any, question string) string {
	fields, _ := row.(map[string]any)
	if question == "count" {
		return text(row)
	}
	return fmt.Sprint(fields["region"], " ", fields["instanceId"])
}

func judgeFindings(rows, want []any, question string) string {
	expected := map[string]bool{}
	for _, row := range want {
		expected[finding(row, question)] = true
	}
	found, others := 0, 0
	for _, row := range rows {
		f := finding(row, question)
		if expected[f] {
			expected[f] = false // only once
			found++
		} else {
			others++
		}
	}
	switch {
	case others > 0:
		return fmt.Sprintf("%d of %d, and %d wrong", found, len(want), others)
	case found < len(want):
		return fmt.Sprintf("%d of %d", found, len(want))
	}
	return right
}
