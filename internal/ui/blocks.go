package ui

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"natter/chat"
)

// block is /block, and /mute for a while.
func (f *front) block(name string, mute bool) {
	b := chat.BlockRequest{Name: name}
	if mute {
		b.For = chat.MuteFor
	}
	f.ask("the server", func(ctx context.Context) func() {
		err := f.c.Block(ctx, name, b.For)
		return func() {
			if err != nil {
				f.failed(err)
				return
			}
			f.out.notice(nowBlocked(f.blockOf(name)) + f.stillThere(chat.Name(name).User()))
		}
	})
}

func (f *front) unblock(name string) {
	was := f.blockOf(name)
	f.ask("the server", func(ctx context.Context) func() {
		err := f.c.Unblock(ctx, name)
		return func() {
			switch {
			case err != nil:
				f.failed(err)
			case was.Name == "":
				f.fail("! You do not block " + shorten(name) + ". /blocked says whom you do.")
			default:
				f.out.notice(fmt.Sprintf("* %s is no longer blocked.", was.Name))
			}
		}
	})
}

// blockOf returns the block of a user, or the zero Block.
func (f *front) blockOf(name string) chat.Block {
	for _, b := range f.c.Blocks() {
		if b.Name.User() == chat.Name(name).User() {
			return b
		}
	}
	return chat.Block{}
}

// nowBlocked tells what a block does.
func nowBlocked(b chat.Block) string {
	how, until := "blocked", ""
	if !b.Until.IsZero() {
		how, until = "muted", " until "+b.Until.Local().Format("15:04")
	}
	return fmt.Sprintf("* %s is %s%s: they cannot invite you, write to you or see you in a list. /unblock %[1]s changes that.", b.Name, how, until)
}

// stillThere tells what a block does not end.
func (f *front) stillThere(u chat.User) string {
	if f.open != nil {
		if _, in := f.open.Member(u); in {
			return " Your chat goes on; Quit ends it."
		}
	}
	if slices.ContainsFunc(f.invitations, func(s chat.Session) bool { return s.Host == u }) {
		return " Their invitation waits; /deny refuses it."
	}
	return ""
}

// blocked lists the users whom the user blocks.
func blocked(blocks []chat.Block) string {
	if len(blocks) == 0 {
		return "* You do not block any users."
	}
	var all []string
	for _, b := range blocks {
		one := string(b.Name)
		if !b.Until.IsZero() {
			one += b.Until.Local().Format(" (until 15:04)")
		}
		all = append(all, one)
	}
	return "* You block " + strings.Join(all, ", ") + "."
}
