package api

import (
	"reflect"
	"slices"
	"testing"

	"github.com/debutsec/debut/internal/store"
)

// What a stored alert has is told, unless only the engine needs it.
func TestAlertOf(t *testing.T) {
	t.Parallel()
	internal := []string{"PrincipalID", "Rule", "Group", "EventID", "Content", "SuppressedEnd"}
	var a store.Alert
	v := reflect.ValueOf(&a).Elem()
	fill(v)
	if got := AlertOf(&a).SuppressedEnd.UnixNano(); got != a.SuppressedEnd {
		t.Errorf("SuppressedEnd is told as %d", got)
	}
	got := reflect.ValueOf(AlertOf(&a)).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if slices.Contains(internal, name) {
			continue
		}
		if f := got.FieldByName(name); !f.IsValid() || !reflect.DeepEqual(f.Interface(), v.Field(i).Interface()) {
			t.Errorf("%s is not told", name)
		}
	}
}

// fill gives every field a value that is not zero.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(v.Type().Field(i).Name)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int64, reflect.Int32:
			f.SetInt(int64(i))
		case reflect.Float64:
			f.SetFloat(float64(i))
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		default:
		}
	}
}
