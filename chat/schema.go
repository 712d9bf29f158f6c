package chat

import (
	"encoding/json"
	"reflect"
	"strings"
)

// Schema describes what travels as a type in JSON Schema, on one line: for tools that
// ask the service what it takes and gives. nil, which is bytes, has none.
func Schema(t reflect.Type) string {
	if t == nil {
		return ""
	}
	text, _ := json.Marshal(schemaOf(t)) // texts, numbers and lists only
	return string(text)
}

// schema is a node of a JSON Schema, with its keys in the usual order.
type schema struct {
	Type        any                `json:"type"` // a word, or two where null may stand for nothing
	Format      string             `json:"format,omitempty"`
	Encoding    string             `json:"contentEncoding,omitempty"`
	Description string             `json:"description,omitempty"`
	Minimum     *int               `json:"minimum,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Values      *schema            `json:"additionalProperties,omitempty"`
}

func schemaOf(t reflect.Type) *schema {
	switch {
	case t.PkgPath() == "time" && t.Name() == "Time":
		return &schema{Type: "string", Format: "date-time"}
	case t.PkgPath() == "time" && t.Name() == "Duration":
		return &schema{Type: "integer", Description: "nanoseconds"}
	case t == reflect.TypeFor[[]byte]():
		return &schema{Type: "string", Encoding: "base64"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		return objectOf(t)
	case reflect.Slice:
		return &schema{Type: "array", Items: schemaOf(t.Elem())}
	case reflect.Map:
		return &schema{Type: "object", Values: schemaOf(t.Elem())}
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Uint, reflect.Uint64:
		return &schema{Type: "integer", Minimum: new(int)}
	case reflect.Int:
		return &schema{Type: "integer"}
	}
	return &schema{Type: "string"}
}

// objectOf is an object with a property for each field. What is never left out is
// required; an empty list that is not left out may be null.
func objectOf(t reflect.Type) *schema {
	s := &schema{Type: "object", Properties: map[string]*schema{}}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := schemaOf(f.Type)
		if !strings.HasPrefix(options, "omit") {
			s.Required = append(s.Required, name)
			if k := f.Type.Kind(); k == reflect.Slice || k == reflect.Map || k == reflect.Pointer {
				p.Type = []any{p.Type, "null"}
			}
		}
		s.Properties[name] = p
	}
	return s
}
