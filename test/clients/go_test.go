//go:build integration

package clients

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastic/go-elasticsearch/v8"
	"github.com/elastic/go-elasticsearch/v8/esutil"
)

const messages = 5000

// body is the document of a message: a record or an ECS document.
func body(i int) string {
	if i%2 == 0 {
		return record(i)
	}
	return document(i)
}

func TestBulkIndexer(t *testing.T) {
	t.Parallel()
	to, in, server := serve(t)
	client, err := elasticsearch.NewClient(elasticsearch.Config{
		Addresses: []string{server.URL}, APIKey: base64.StdEncoding.EncodeToString([]byte("id:" + token)),
		RetryOnStatus: []int{429, 502, 503, 504}, MaxRetries: 50, RetryBackoff: func(int) time.Duration { return time.Millisecond },
		CompressRequestBody: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := client.Info() // it refuses what does not say that it is Elasticsearch
	if err != nil || info.IsError() {
		t.Fatalf("info: %v %v", info, err)
	}
	_ = info.Body.Close()
	indexer, err := esutil.NewBulkIndexer(esutil.BulkIndexerConfig{Client: client, Index: "cloudtrail", NumWorkers: 4, FlushBytes: 20_000, Refresh: "wait_for", Pipeline: "p"})
	if err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	for i := range messages {
		err := indexer.Add(t.Context(), esutil.BulkIndexerItem{
			Action: "create", DocumentID: strconv.Itoa(i), Body: strings.NewReader(body(i)),
			OnFailure: func(_ context.Context, it esutil.BulkIndexerItem, r esutil.BulkIndexerResponseItem, err error) {
				t.Errorf("item %s: %+v %v", it.DocumentID, r, err)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			err := indexer.Add(t.Context(), esutil.BulkIndexerItem{
				Action: "index", Body: strings.NewReader(`{"no":"event"}`),
				OnSuccess: func(context.Context, esutil.BulkIndexerItem, esutil.BulkIndexerResponseItem) {
					t.Error("what is no event was taken")
				},
				OnFailure: func(_ context.Context, _ esutil.BulkIndexerItem, r esutil.BulkIndexerResponseItem, err error) {
					if err != nil || r.Status != 400 || r.Error.Type != "document_parsing_exception" {
						t.Errorf("what is no event was answered %+v %v", r, err)
					}
					refused.Add(1)
				},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := indexer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	to.want(t, messages)
	if st := indexer.Stats(); st.NumFlushed != messages || st.NumFailed != uint64(refused.Load()) || refused.Load() != messages/100 {
		t.Errorf("the client counts %+v, refused %d", st, refused.Load())
	}
	told(t, in.Stats().Endpoints["bulk"].Busy)
}

// A token that is not known is told as such, and nothing is taken.
func TestWithoutToken(t *testing.T) {
	t.Parallel()
	to, _, server := serve(t)
	client, err := elasticsearch.NewClient(elasticsearch.Config{Addresses: []string{server.URL}, APIKey: base64.StdEncoding.EncodeToString([]byte("id:wrong"))})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Bulk(strings.NewReader("{\"index\":{}}\n" + record(0) + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != 401 || to.count() != 0 {
		t.Errorf("got %s", resp)
	}
}

// told checks that the client was refused for a while, or the test would show nothing.
func told(t *testing.T, busy int64) {
	t.Helper()
	if busy == 0 {
		t.Error("the client was never told to wait")
	}
	t.Logf("%d requests were told to wait", busy)
}

// The client may also learn where the nodes are, and use Basic authentication.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	to, _, server := serve(t)
	client, err := elasticsearch.NewClient(elasticsearch.Config{Addresses: []string{server.URL}, Username: "elastic", Password: token})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.DiscoverNodes(); err != nil {
		t.Fatal(err)
	}
	resp, err := client.Bulk(strings.NewReader("{\"index\":{}}\n"+record(0)+"\n"), client.Bulk.WithIndex("cloudtrail"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.IsError() {
		t.Errorf("got %s", resp)
	}
	to.want(t, 1)
}
