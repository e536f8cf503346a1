package world

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Front is what a Service is to its clients: each new connection goes to the next process, and one
// that is dead is passed over.
type Front struct {
	// Address it listens at.
	Address string

	listener net.Listener
	behind   []string
	turn     atomic.Int64
}

// NewFront listens until it is closed.
func NewFront(behind ...string) (*Front, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Front{Address: listener.Addr().String(), listener: listener, behind: behind}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go f.pass(client)
		}
	}()
	return f, nil
}

// Close accepts no more connections.
func (f *Front) Close() { _ = f.listener.Close() }

func (f *Front) pass(client net.Conn) {
	defer client.Close()
	for range f.behind {
		next := f.behind[int(f.turn.Add(1)-1)%len(f.behind)]
		server, err := net.Dial("tcp", next)
		if err != nil {
			continue
		}
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(server, client); _ = server.(*net.TCPConn).CloseWrite() })
		both.Go(func() { _, _ = io.Copy(client, server); _ = client.(*net.TCPConn).CloseWrite() })
		both.Wait()
		_ = server.Close()
		return
	}
}
