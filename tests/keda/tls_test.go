package keda

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"prescale/tests/keda/world"
)

// authority signs certificates for one test.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t}
	template := template(t, name)
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	a.certificate, a.key, a.pem = a.sign(template, template, nil)
	return a
}

func template(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(time.Hour),
		BasicConstraintsValid: true,
	}
}

// sign makes a key and a certificate for it; without a parent's key it signs itself.
func (a *authority) sign(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (
	*x509.Certificate, *ecdsa.PrivateKey, string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if parentKey == nil {
		parentKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		a.t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return certificate, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// leaf is a certificate and key for name, as PEM, for both ends of a connection.
func (a *authority) leaf(name string) (certificate, key string) {
	a.t.Helper()
	template := template(a.t, name)
	template.DNSNames, template.IPAddresses = []string{name}, []net.IP{net.IPv4(127, 0, 0, 1)}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	_, private, certificate := a.sign(template, a.certificate, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return certificate, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// config writes a server configuration that lets in only keda-operator, signed by ca.
func config(t *testing.T, ca *authority) string {
	t.Helper()
	folder := t.TempDir()
	certificate, key := ca.leaf("prescale.test")
	for name, text := range map[string]string{"tls.crt": certificate, "tls.key": key, "ca.crt": ca.pem} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf(`tls:
  certFile: %[1]s/tls.crt
  keyFile: %[1]s/tls.key
  clientCaFile: %[1]s/ca.crt
  allowedSans: [keda-operator]
datasources:
  default: {url: %[2]q}
`, folder, shared.PrometheusURL)
	file := filepath.Join(folder, "prescale.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOnlyTheRightCertificateIsAnswered(t *testing.T) {
	fleet := settled(t, world.Load{Replicas: 1, Ready: 1, Running: 24, KV: 0.1})
	ca, stranger := newAuthority(t, "ours"), newAuthority(t, "strange")
	server := serve(t, "--config", config(t, ca))

	with := func(a *authority, name string) map[string]string {
		certificate, key := a.leaf(name)
		return map[string]string{"caCert": ca.pem, "tlsClientCert": certificate, "tlsClientKey": key}
	}
	unknownServer := with(ca, "keda-operator")
	unknownServer["caCert"] = stranger.pem
	rows := []struct {
		name string
		auth map[string]string
		code codes.Code
	}{
		{"no client certificate", map[string]string{"caCert": ca.pem}, codes.Unavailable},
		{"a client certificate of another authority", with(stranger, "keda-operator"), codes.Unavailable},
		{"a client certificate of another name", with(ca, "someone"), codes.PermissionDenied},
		{"a server that the client does not know", unknownServer, codes.Unavailable},
		{"no TLS", nil, codes.Unavailable},
	}
	for _, row := range rows {
		c := trigger(server.Address, fleet.Namespace, "llm", plain())
		c.AuthParams = maps.Clone(row.auth)
		a := ask(t, pull(t, c))
		t.Logf("%s: %v", row.name, a.err)
		if status.Code(a.err) != row.code {
			t.Errorf("%s: want %s, got %s", row.name, row.code, a)
		}
		if a.err != nil && strings.Contains(a.err.Error(), "PRIVATE KEY") {
			t.Errorf("%s: a key is shown: %v", row.name, a.err)
		}
	}

	right := trigger(server.Address, fleet.Namespace, "llm", plain())
	right.AuthParams = with(ca, "keda-operator")
	scaler := pull(t, right)
	eventually(t, "3 replicas over mTLS", 40*time.Second, scaler, value(3), errorOr(atLeast(1)))
	stream := open(t, right)
	stream.waitTrue(t, time.Time{}, 15*time.Second)
	stream.neverFalse(t)
}
