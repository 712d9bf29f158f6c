package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/doctor"
	"natter/internal/setup"
)

// doctor examines a NATS server, its own or another one.
func (p *program) doctor(ctx context.Context) error {
	keys, err := p.examined()
	if err != nil {
		return err
	}
	secured, err := p.secured()
	if err != nil {
		return err
	}
	findings := doctor.Examine(ctx, doctor.Config{URLs: p.server, Keys: keys, Options: secured})
	if p.json {
		if err := p.printJSON(findings); err != nil {
			return err
		}
	} else {
		doctor.Print(p.out, findings)
	}
	if n := doctor.Failed(findings); n > 0 {
		return fmt.Errorf("%d of %d checks failed", n, len(findings)) // exit code 1
	}
	return nil
}

// examined are the keys of --keys, or of the embedded server's data directory.
func (p *program) examined() (*setup.Keys, error) {
	if p.keys != "" {
		return setup.Open(p.keys)
	}
	ids, err := embedded.Identities(p.dataDir)
	if err != nil {
		var told *chat.Error
		if errors.As(err, &told) {
			return nil, fmt.Errorf("%w (an existing NATS needs --keys DIR; an embedded one its --data-dir)", err)
		}
		return nil, err
	}
	return setup.Derive(ids, time.Now())
}
