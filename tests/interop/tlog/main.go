// Checks record proofs with the note and tlog packages of the Go project, which know nothing of Moneta.
//
//	tlog KEY FILE...
//
// Of each record proof: the checkpoint's signature (golang.org/x/mod/sumdb/note), and that the tick is in the root log,
// the block header in its shard log, and the record in its block (golang.org/x/mod/sumdb/tlog). Prints a line for each
// file; exit code 1 when one is not valid.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type lines struct{ rest string }

func (l *lines) next() string {
	line, rest, _ := strings.Cut(l.rest, "\n")
	l.rest = rest
	return line
}

func (l *lines) field(name string) (string, error) {
	line := l.next()
	value, ok := strings.CutPrefix(line, name)
	if !ok {
		return "", fmt.Errorf("a line %q is missing", name)
	}
	return value, nil
}

func (l *lines) number(name string) (int64, error) {
	text, err := l.field(name)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

func (l *lines) bytes(name string) ([]byte, error) {
	text, err := l.field(name)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}

func (l *lines) path() (tlog.RecordProof, error) {
	var path tlog.RecordProof
	for line := l.next(); line != ""; line = l.next() {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		path = append(path, hash)
	}
	return path, nil
}

// check verifies one record proof. Errors of reading are collected: the first one is what matters.
func check(text string, verifier note.Verifier) error {
	l := &lines{text}
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	number := func(name string) int64 { n, err := l.number(name); keep(err); return n }
	data := func(name string) []byte { b, err := l.bytes(name); keep(err); return b }
	path := func() tlog.RecordProof { p, err := l.path(); keep(err); return p }
	field := func(name string) string { s, err := l.field(name); keep(err); return s }
	whole := func(line string) {
		if field(line) != "" {
			keep(fmt.Errorf("more on the line %q", line))
		}
	}

	whole("moneta record-proof v1")
	record, recordIndex, recordPath := data("record "), number("index "), path()
	header := data("header ")
	whole("moneta-block-proof@1")
	shard, blockIndex, blockSize, blockPath := field("shard "), number("index "), number("size "), path()
	tick := data("tick ")
	whole("c2sp.org/tlog-proof@v1")
	tickIndex, tickPath := number("index "), path()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	signed, err := note.Open([]byte(l.rest), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	head := strings.Split(signed.Text, "\n")
	if len(head) != 4 || head[0] != verifier.Name() {
		return errors.New("the checkpoint is of another log")
	}
	size, err := strconv.ParseInt(head[1], 10, 64)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(head[2])
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(tickPath, size, root, tickIndex, tlog.RecordHash(tick)); err != nil {
		return fmt.Errorf("tick: %w", err)
	}
	shardRoot, err := shardRoot(tick, shard, blockSize)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(blockPath, blockSize, shardRoot, blockIndex, tlog.RecordHash(header)); err != nil {
		return fmt.Errorf("block: %w", err)
	}
	numRows, recordRoot, err := readHeader(header)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(recordPath, numRows, recordRoot, recordIndex, tlog.RecordHash(record)); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

func shardRoot(tick []byte, shard string, size int64) (tlog.Hash, error) {
	var entry struct {
		Type   string
		Shards [][3]json.RawMessage
	}
	if err := json.Unmarshal(tick, &entry); err != nil {
		return tlog.Hash{}, err
	}
	for _, grown := range entry.Shards {
		if string(grown[0]) == strconv.Quote(shard) && string(grown[1]) == strconv.FormatInt(size, 10) && entry.Type == "tick" {
			return tlog.ParseHash(strings.Trim(string(grown[2]), `"`))
		}
	}
	return tlog.Hash{}, errors.New("the tick does not list the shard at that size")
}

// readHeader gives the number of rows and the root over them: see crates/event/src/block.rs.
func readHeader(header []byte) (int64, tlog.Hash, error) {
	var root tlog.Hash
	if len(header) < 22 || !bytes.HasPrefix(header, []byte("MBLK\x01")) {
		return 0, root, errors.New("that is no block header of version 1")
	}
	at := 22 + int(header[21]) + 4 + 8 + 8
	if len(header) < at+4+24+len(root) {
		return 0, root, errors.New("the block header ends too early")
	}
	copy(root[:], header[at+4+24:])
	return int64(binary.LittleEndian.Uint32(header[at:])), root, nil
}

func main() {
	verifier, err := note.NewVerifier(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	status := 0
	for _, file := range os.Args[2:] {
		text, err := os.ReadFile(file)
		if err == nil {
			err = check(string(text), verifier)
		}
		if err != nil {
			status = 1
			fmt.Printf("NOT VALID: %s: %s\n", file, strings.ReplaceAll(err.Error(), "\n", "; "))
		} else {
			fmt.Printf("valid: %s\n", file)
		}
	}
	os.Exit(status)
}
