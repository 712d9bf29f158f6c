package chat_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"natter/chat"
)

const schemas = "testdata/schemas.txt"

// The schemas are what they were; "go test ./chat -update" writes them anew, and the
// difference shows what has changed for those who read them.
func TestSchemas(t *testing.T) {
	var b strings.Builder
	for _, r := range chat.Routes() {
		fmt.Fprintf(&b, "%s\n  %s\n", r.Pattern(), chat.Schema(r.Payload))
		if r.Reply != nil {
			fmt.Fprintf(&b, "  %s\n", chat.Schema(r.Reply))
		}
	}
	if *update {
		if err := os.WriteFile(schemas, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(schemas)
	if err != nil || string(have) != b.String() {
		t.Errorf("%s is not what the code says (%v); run: go test ./chat -update", schemas, err)
	}
}

// What is sent fits the schema, with every field empty and with every field full.
func TestPayloadsFitTheirSchemas(t *testing.T) {
	for _, r := range chat.Routes() {
		for _, typ := range []reflect.Type{r.Payload, r.Reply} {
			if typ == nil {
				continue
			}
			for _, fill := range []bool{false, true} {
				v := reflect.New(typ)
				if fill {
					populate(v.Elem())
				}
				if err := fits(chat.Schema(typ), v.Interface()); err != nil {
					t.Errorf("%s, %s: %v", r.Pattern(), typ.Name(), err)
				}
			}
		}
	}
}

// The check itself can fail.
func TestSchemasRefuse(t *testing.T) {
	schema := chat.Schema(reflect.TypeFor[chat.AnswerRequest]())
	for _, wrong := range []any{
		map[string]any{"session": "x"}, map[string]any{"session": 1, "accept": true}, map[string]any{"session": "x", "accept": "yes"}, []int{1},
		map[string]any{"session": "x", "accept": true, "more": 1},
	} {
		if fits(schema, wrong) == nil {
			t.Errorf("%v fits %s", wrong, schema)
		}
	}
}

// populate fills a value with one of everything.
func populate(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		populate(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 1).UTC()))
			return
		}
		for i := range v.NumField() {
			populate(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		populate(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		populate(key)
		populate(value)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint, reflect.Uint64:
		v.SetUint(7)
	default:
		v.SetInt(7)
	}
}

// fits checks a value as JSON against a schema, as far as our schemas go. A property
// that the schema does not have is wrong too.
func fits(schema string, v any) error {
	var s map[string]any
	var j any
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(schema), &s); err != nil {
		return err
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	return check("", s, j)
}

func check(at string, s map[string]any, v any) error {
	if !strings.Contains(fmt.Sprint(s["type"]), typeOf(v)) {
		return fmt.Errorf("%s is a %s, not a %v", at, typeOf(v), s["type"])
	}
	switch v := v.(type) {
	case map[string]any:
		return checkObject(at, s, v)
	case []any:
		for _, item := range v {
			if err := check(at+"[]", s["items"].(map[string]any), item); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkObject(at string, s, v map[string]any) error {
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Errorf("%s has no %v", at, name)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for name, value := range v {
		of, ok := properties[name].(map[string]any)
		if more, any := s["additionalProperties"].(map[string]any); !ok && any {
			of, ok = more, true
		}
		if !ok {
			return fmt.Errorf("%s has %s", at, name)
		}
		if err := check(at+"."+name, of, value); err != nil {
			return err
		}
	}
	return nil
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	}
	return "object"
}
