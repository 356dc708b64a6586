package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever makes or uses a secret stands in secret.go, and its interface in abi_secret.go.
func TestSecretsStandApart(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "secret") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			if found, ok := node.(*ast.Ident); ok {
				for _, word := range []string{"SecretKey", "KeyGenerator", "NewEncryptor", "NewDecryptor", "newSecret", "loadSecret"} {
					if strings.Contains(found.Name, word) {
						t.Errorf("%s: uses %s, which belongs into secret.go", name, found.Name)
					}
				}
			}
			return true
		})
	}
}

// Closing a key overwrites what we hold of it.
func TestClosingOverwritesTheSecret(t *testing.T) {
	ctx := newTestContext(t, "standard")
	s := ctx.newSecret()
	limbs := append(append([][]uint64{}, s.key.Value.Q.Coeffs...), s.key.Value.P.Coeffs...)
	s.drop()
	for i, limb := range limbs {
		for _, word := range limb {
			if word != 0 {
				t.Fatalf("limb %d still holds the secret", i)
			}
		}
	}
}
