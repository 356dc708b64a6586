package main

import (
	"fmt"

	"heclstm/native/kernels"
)

// fault is an error that Python turns into one of heclstm's exceptions: kind is the name of the class.
// A text names place, got, expected, remedy; it never holds data or key material.
type fault struct{ kind, text string }

func (f *fault) Error() string { return f.kind + "\x1f" + f.text }

func failure(kind, format string, arguments ...any) error {
	return &fault{kind, fmt.Sprintf(format, arguments...)}
}

func levelError(format string, arguments ...any) error {
	return failure("LevelError", format, arguments...)
}

func parameterError(format string, arguments ...any) error {
	return failure("ParameterError", format, arguments...)
}

func formatError(format string, arguments ...any) error {
	return failure("FileFormatError", format, arguments...)
}

// first is the first error of a list of which most are nil.
func first(failures []error) error {
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}

// safely runs work and turns a panic, ours or Lattigo's, into an error.
func safely(work func() error) (err error) {
	defer func() {
		switch reason := recover(); reason {
		case nil:
		case kernels.ErrMemory:
			err = failure("ResourceError", "native engine: the system gives it no more memory than the %d MB that it has; "+
				"allow this process more, or take fewer threads and `run` with --low-memory", allocated.Load()>>20)
		default:
			err = failure("EngineError", "native engine: %v; please report this as a bug", reason)
		}
	}()
	return work()
}
