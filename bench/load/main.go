// Load for the benches of the REST API, light enough not to be what is measured. Two modes, each prints one JSON object:
//
//	load raw   compare-and-swap transactions of two puts of 200 bytes through etcd's own Go client, a block of its own per worker
//	load rest  POST /address through the REST API over kept connections, names that nobody else asks for
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

type options struct {
	urls     []string
	inFlight int
	count    int
	prefix   string
	pause    time.Duration
	hosts    int
}

func main() {
	if len(os.Args) < 2 || (os.Args[1] != "raw" && os.Args[1] != "rest") {
		fmt.Fprintln(os.Stderr, "usage: load raw|rest [flags]")
		os.Exit(2)
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	urls := flags.String("urls", "http://127.0.0.1:2379", "comma-separated URLs, used in turns")
	var o options
	flags.IntVar(&o.inFlight, "in-flight", 64, "requests in flight")
	flags.IntVar(&o.count, "count", 10000, "requests to make")
	flags.StringVar(&o.prefix, "prefix", "load", "root of the keys, or beginning of the names")
	flags.DurationVar(&o.pause, "pause", 0, "pause of each worker between two requests")
	flags.IntVar(&o.hosts, "hosts", 1000, "hosts, host-0 and so on (rest)")
	_ = flags.Parse(os.Args[2:])
	o.urls = strings.Split(*urls, ",")
	work := raw
	if os.Args[1] == "rest" {
		work = rest
	}
	if err := work(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// measure lets workers call do, and prints what it took. do gets the worker and the number of the request, 0 and up for each worker.
func measure(o options, do func(ctx context.Context, worker, index int) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	perWorker := (o.count + o.inFlight - 1) / o.inFlight
	latencies := make([][]time.Duration, o.inFlight)
	var failed atomic.Pointer[error]
	var workers sync.WaitGroup
	start := time.Now()
	for worker := range o.inFlight {
		workers.Add(1)
		go func() {
			defer workers.Done()
			latencies[worker] = make([]time.Duration, 0, perWorker)
			for index := 0; index < perWorker && failed.Load() == nil; index++ {
				sent := time.Now()
				if err := do(ctx, worker, index); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				latencies[worker] = append(latencies[worker], time.Since(sent))
				if o.pause > 0 {
					time.Sleep(o.pause)
				}
			}
		}()
	}
	workers.Wait()
	took := time.Since(start)
	if err := failed.Load(); err != nil {
		return *err
	}
	var all []time.Duration
	for _, list := range latencies {
		all = append(all, list...)
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	at := func(part float64) float64 {
		return float64(all[int(part*float64(len(all)-1))].Microseconds()) / 1000
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"count": len(all), "seconds": took.Seconds(), "rate": float64(len(all)) / took.Seconds(),
		"p50Ms": at(0.5), "p99Ms": at(0.99), "maxMs": at(1),
	})
}

func raw(o options) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: o.urls, DialTimeout: 5 * time.Second})
	if err != nil {
		return err
	}
	defer client.Close()
	value := strings.Repeat("x", 200)
	revisions := make([]int64, o.inFlight)
	return measure(o, func(ctx context.Context, worker, index int) error {
		block := fmt.Sprintf("%s/blocks/%d", o.prefix, worker)
		address := fmt.Sprintf("%s/addresses/%d-%d", o.prefix, worker, index)
		answer, err := client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(block), "=", revisions[worker])).
			Then(clientv3.OpPut(block, value), clientv3.OpPut(address, value)).
			Commit()
		if err != nil {
			return err
		}
		if !answer.Succeeded {
			return fmt.Errorf("a compare failed on %s, which nobody else writes", block)
		}
		revisions[worker] = answer.Header.Revision
		return nil
	})
}

func rest(o options) error {
	// Each worker may have a connection to each replica, and all are kept: a bound over all hosts would close and open them all the time.
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.inFlight, MaxConnsPerHost: o.inFlight}}
	return measure(o, func(ctx context.Context, worker, index int) error {
		number := worker + index*o.inFlight
		body := fmt.Appendf(nil, `{"name":"%s-%d-%d","host":"host-%d","tenant":"t","segment":"s"}`, o.prefix, worker, index, number%o.hosts)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.urls[number%len(o.urls)]+"/address", bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("POST /address: %d %s", answer.StatusCode, text)
		}
		return err
	})
}
