# One-line wrappers; the work is in scripts/ and meson.build.
.PHONY: all demo test check format
all:    ; @scripts/build
demo:   ; @scripts/demo
test:   ; @scripts/test
check:  ; @scripts/check-floors && scripts/check-format && scripts/check-symbols
format: ; @scripts/check-format --fix
