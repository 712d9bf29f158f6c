package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"natter/broker/ticket"
	"natter/chat"
	"natter/internal/private"
)

// Plan is what there is to choose. Its zero value, with a Dir, is one server on this
// computer.
type Plan struct {
	Dir   string // to be made
	Nodes int    // 1 or 3 NATS servers; 0 is 1
	Hosts []Host // of the servers; none is this computer
	Store string // where servers keep their state; "" is data in Dir
	Again bool   // remove what an Init has left that was cut short
}

// StorePerNode is how many bytes of state one server holds. The streams may take half
// of it, so that limits can be raised.
const StorePerNode = 2 << 30

const memoryPerNode = 256 << 20

// Init writes an installation. It is false if there is one already, which is left as
// it is.
func Init(p Plan) (made bool, err error) {
	p.Nodes = max(p.Nodes, 1)
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return false, private.Errorf(private.ErrFile, "Cannot use %s: %v.", p.Dir, err)
	}
	p.Dir = dir
	if err := p.clear(); err != nil {
		return false, err
	}
	if there, err := p.exists(); there || err != nil {
		return false, err
	}
	if p.Hosts, err = p.hosts(); err != nil {
		return false, err
	}
	if p.Store == "" {
		p.Store = filepath.Join(dir, "data")
	} else if p.Store, err = filepath.Abs(p.Store); err != nil {
		return false, private.Errorf(private.ErrFile, "Cannot use %s: %v.", p.Store, err)
	}
	files, err := p.files()
	if err != nil {
		return false, err
	}
	return true, writeAll(dir, files)
}

// asideOf is where the installation of a directory is made, before it gets its name.
func asideOf(dir string) string {
	return filepath.Join(filepath.Dir(dir), ".natter-init-"+filepath.Base(dir))
}

// CutShort is why a directory cannot be used for which an Init has not come to its end, or nil.
func CutShort(dir string) error {
	at := asideOf(dir)
	if _, err := os.Lstat(at); err != nil {
		return nil
	}
	return private.Errorf(private.ErrFile, "An init of %s was cut short, or is under way: %s is left of it, and holds keys that nothing uses. Nothing was changed. Begin it again, with what is left removed: chatcoord init --external --again --out %s", dir, at, dir)
}

// clear removes what is left of an Init that was cut short, if that is wanted, and only files
// that an Init writes.
func (p Plan) clear() error {
	err := CutShort(p.Dir)
	if err == nil || !p.Again {
		return err
	}
	at := asideOf(p.Dir)
	entries, err := os.ReadDir(at)
	if err != nil {
		return private.Errorf(private.ErrFile, "Cannot read %s: %v.", at, private.Cause(err))
	}
	for _, e := range entries {
		if !private.Temporary(e.Name()) && !slices.Contains(p.names(), e.Name()) && !strings.HasSuffix(e.Name(), ".conf") {
			return private.Errorf(private.ErrFile, "%s holds something else, %s. Nothing was removed. Look at it, and remove it by hand.", at, e.Name())
		}
	}
	if err := os.RemoveAll(at); err != nil {
		return private.Errorf(private.ErrFile, "Cannot remove %s: %v.", at, private.Cause(err))
	}
	return nil
}

// exists reports whether a whole installation is there. Anything else in its place is an
// error.
func (p Plan) exists() (bool, error) {
	entries, err := os.ReadDir(p.Dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return false, nil
	}
	if err != nil {
		return false, private.Errorf(private.ErrFile, "Cannot read %s: %v.", p.Dir, private.Cause(err))
	}
	have := map[string]bool{}
	for _, e := range entries {
		have[e.Name()] = true
	}
	var missing []string
	ours := false
	for _, name := range p.names() {
		ours = ours || have[name]
		if !have[name] && name != Audit.File() { // nothing needs it, and earlier releases did not write it
			missing = append(missing, name)
		}
	}
	switch {
	case !ours:
		return false, private.Errorf(private.ErrFile, "%s holds something else. Name a directory that is not there yet.", p.Dir)
	case len(missing) > 0 && (have[confName(1, 1)] && p.Nodes > 1 || have[confName(1, 3)] && p.Nodes == 1):
		return false, private.Errorf(private.ErrFile, "%s is an installation with another number of servers. Name another directory.", p.Dir)
	case len(missing) > 0:
		return false, private.Errorf(private.ErrFile, "The installation in %s is incomplete: %s missing. Bring the files back, or name another directory; nothing was changed.", p.Dir, strings.Join(missing, ", "))
	}
	return true, nil
}

// keyName is the file of a key: that of the signing key is copied to every
// coordinator, so its name is short.
func keyName(slot string) string {
	if slot == "chat-signing" {
		return signingKey
	}
	return slot + ".nk"
}

// names are the files of an installation.
func (p Plan) names() []string {
	names := []string{"README.txt", "accounts.conf", "operator.jwt", deputyKey, sentinelJWT}
	for _, slot := range (&ticket.Installation{}).Keys() {
		names = append(names, keyName(slot.Name))
	}
	for _, r := range Roles {
		names = append(names, r.File())
	}
	for n := range p.Nodes {
		names = append(names, confName(n+1, p.Nodes))
	}
	slices.Sort(names)
	return names
}

// files makes everything anew.
func (p Plan) files() (map[string][]byte, error) {
	ids, err := ticket.NewInstallation()
	if err != nil {
		return nil, err
	}
	nodes := int64(p.Nodes)
	jwts, err := ids.JWTs(ticket.Limits{Memory: nodes * memoryPerNode, Store: nodes * StorePerNode})
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		"operator.jwt": []byte(jwts.Operator + "\n"),
		sentinelJWT:    []byte(jwts.Sentinel + "\n"),
	}
	for _, slot := range append(ids.Keys(), ticket.KeySlot{Name: strings.TrimSuffix(deputyKey, ".nk"), Key: &ids.OperatorSigning}) {
		if files[keyName(slot.Name)], err = seed(*slot.Key); err != nil {
			return nil, err
		}
	}
	observer, err := p.addCreds(files, ids)
	if err != nil {
		return nil, err
	}
	files["README.txt"] = p.readme(chat.ObserverInbox(observer))
	return files, p.addConfigs(files, jwts)
}

// addCreds makes the credentials of all roles, and returns the public key of the observer's.
func (p Plan) addCreds(files map[string][]byte, ids *ticket.Installation) (observer string, err error) {
	chatID := ids.ChatMinter().Account()
	for _, r := range Roles {
		m := ids.ChatMinter()
		if r.system {
			m = ids.SystemMinter()
		}
		creds, err := r.newCreds(m, chatID, 0, time.Now())
		if err != nil {
			return "", err
		}
		if files[r.File()], err = ticket.FormatCreds(creds.JWT, creds.Key); err != nil {
			return "", err
		}
		if r.Name == Observer.Name {
			observer = creds.User
		}
	}
	return observer, nil
}

func seed(key nkeys.KeyPair) ([]byte, error) {
	s, err := key.Seed()
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return append(s, '\n'), nil
}

// writeAll makes a directory with files in it, whole or not at all.
func writeAll(dir string, files map[string][]byte) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return private.Errorf(private.ErrFile, "Cannot make %s: %v.", parent, private.Cause(err))
	}
	half := asideOf(dir)
	if err := os.Mkdir(half, 0o700); err != nil { // also if another one is doing the same
		return private.Errorf(private.ErrFile, "Cannot make %s: %v.", half, private.Cause(err))
	}
	defer os.RemoveAll(half)
	for name, text := range files {
		if err := private.Write(filepath.Join(half, name), text); err != nil {
			return err
		}
	}
	_ = os.Remove(dir) // empty, or not there
	if err := os.Rename(half, dir); err != nil {
		return private.Errorf(private.ErrFile, "Cannot make %s: %v.", dir, private.Cause(err))
	}
	return nil
}

// Host is where a server is reached.
type Host struct {
	Name string
	Port int // for clients; the servers reach each other 2000 above
}

const (
	clientPort = 4222
	routeAbove = 2000
	monitor    = 8222
)

// hosts are those that were chosen, or as many on this computer as there are to be.
func (p Plan) hosts() ([]Host, error) {
	if len(p.Hosts) == 0 {
		var hosts []Host
		for n := range p.Nodes {
			hosts = append(hosts, Host{"127.0.0.1", clientPort + n})
		}
		return hosts, nil
	}
	if len(p.Hosts) != p.Nodes {
		return nil, chat.Errorf(chat.Arguments, "There are %d hosts for %d servers.", len(p.Hosts), p.Nodes)
	}
	return p.Hosts, nil
}
