package setup

import (
	"bytes"
	"crypto/rand"
	"embed"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"natter/broker/ticket"
	"natter/chat"
)

//go:embed templates
var templates embed.FS

var pages = template.Must(template.New("").ParseFS(templates, "templates/*"))

// ParseHost understands HOST and HOST:PORT.
func ParseHost(s string) (Host, error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		host, text = strings.Trim(s, "[]"), strconv.Itoa(clientPort)
	}
	port, err := strconv.Atoi(text)
	_, notIP := netip.ParseAddr(host)
	word := strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
	if err != nil || host == "" || port < 1 || port > 65535-routeAbove || notIP != nil && !word {
		return Host{}, chat.Errorf(chat.Arguments, "%q is not a host: write HOST or HOST:PORT, with a port below %d.", s, 65536-routeAbove)
	}
	return Host{host, port}, nil
}

// local reports whether the host is this computer only.
func (h Host) local() bool {
	ip, err := netip.ParseAddr(h.Name)
	return h.Name == "localhost" || err == nil && ip.IsLoopback()
}

func (h Host) listen() string {
	if h.local() {
		return h.Name
	}
	return "0.0.0.0"
}

func (h Host) at(port int) string { return net.JoinHostPort(h.Name, strconv.Itoa(port)) }

// URL is where clients reach the host.
func (h Host) URL() string { return "nats://" + h.at(h.Port) }

func confName(node, of int) string {
	if of == 1 {
		return "nats.conf"
	}
	return fmt.Sprintf("node-%d.conf", node)
}

// node is what the template of a server's configuration reads.
type node struct {
	File, Name, Listen, Store, Advertise string
	Port, Monitor, MaxStore, MaxMemory   int
	Cluster                              *cluster
}

type cluster struct {
	Password, Advertise string
	Port                int
	Routes              []string
}

func (p Plan) addConfigs(files map[string][]byte, jwts ticket.JWTs) error {
	accounts, err := page("accounts.conf", jwts)
	if err != nil {
		return err
	}
	files["accounts.conf"] = accounts
	password := rand.Text()
	for i, h := range p.Hosts {
		file := confName(i+1, p.Nodes)
		if files[file], err = page("nats.conf", p.node(i, h, password)); err != nil {
			return err
		}
	}
	return nil
}

func (p Plan) node(i int, h Host, password string) node {
	n := node{
		File: confName(i+1, p.Nodes), Name: fmt.Sprintf("natter-%d", i+1), Listen: h.listen(), Port: h.Port,
		Store: filepath.ToSlash(p.Store), Monitor: monitor, MaxStore: StorePerNode, MaxMemory: memoryPerNode,
	}
	if h.local() {
		n.Monitor += i
	}
	if p.Nodes == 1 {
		return n
	}
	n.Store += "/" + n.Name
	n.Advertise = h.at(h.Port)
	n.Cluster = &cluster{Password: password, Port: h.Port + routeAbove, Advertise: h.at(h.Port + routeAbove)}
	for j, other := range p.Hosts {
		if j != i {
			n.Cluster.Routes = append(n.Cluster.Routes, "nats://natter:"+password+"@"+other.at(other.Port+routeAbove))
		}
	}
	return n
}

// readme says which file goes where.
func (p Plan) readme(observerInbox string) []byte {
	var urls, confs []string
	for i, h := range p.Hosts {
		urls = append(urls, h.URL())
		confs = append(confs, confName(i+1, p.Nodes))
	}
	text, err := page("README.txt", map[string]any{
		"Dir": p.Dir, "URLs": strings.Join(urls, ","), "Confs": confs, "Roles": Roles, "Cluster": p.Nodes > 1, "Inbox": observerInbox,
	})
	if err != nil {
		panic("setup: " + err.Error()) // a template of ours
	}
	return text
}

func page(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	return b.Bytes(), nil
}
