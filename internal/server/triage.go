package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/triage"
)

// A Triager investigates alerts. It is safe for concurrent use.
type Triager interface {
	// Triage investigates the alert with that handle now. kept says that the report is a
	// new version. Errors that wrap store.ErrInvalid are the caller's.
	Triage(ctx context.Context, handle string, r api.TriageRequest, by string) (report *triage.Report, kept bool, err error)
}

// ReportHeader says of an answer with a new report what became of it: kept (a new
// version), same (as the latest version) or trial (what if; not kept).
const ReportHeader = "Debut-Report"

// Formats of reports.
const (
	formatJSON     = "json"
	formatMarkdown = "markdown"
	formatHTML     = "html"
	formatText     = "text"
)

// reportFormat is the format that a request asks for: its parameter, else what it
// accepts.
func reportFormat(r *http.Request, p *params) string {
	if p.text("format") != "" {
		return p.choice("format", formatJSON, formatMarkdown, formatHTML, formatText)
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		mt, _, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			continue
		}
		switch mt {
		case "application/json", "*/*":
			return formatJSON
		case "text/markdown":
			return formatMarkdown
		case "text/html":
			return formatHTML
		case "text/plain":
			return formatText
		}
	}
	return formatJSON
}

// version reads the version that a request asks for; 0: the latest.
func (p *params) version(name string) int {
	v := p.text(name)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if (err != nil || n < 1 || n > 1<<31-1) && p.err == nil {
		p.err = invalid("%s is %q, not a number from 1 on", name, v)
	}
	return n
}

func (s *Server) showTriage(w http.ResponseWriter, r *http.Request) error {
	p := s.params(r)
	version, format := p.version("version"), reportFormat(r, p)
	if err := p.done(); err != nil {
		return err
	}
	var kept *store.Report
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		a, err := store.FindAlert(tx, r.PathValue("id"))
		if err != nil {
			return err
		}
		if a.Triage.Version == 0 {
			return notTriaged(a)
		}
		kept, err = store.GetReport(tx, a.Handle, version)
		if errors.Is(err, store.ErrNotFound) {
			return &api.Error{Code: api.NotFound, Message: err.Error(), Hint: fmt.Sprintf("the latest version is %d", a.Triage.Version)}
		}
		return err
	})
	if err != nil {
		return err
	}
	rep, err := report.ReadTriage(kept.Report)
	if err != nil {
		return fmt.Errorf("a stored report: %w: %w", store.ErrDamaged, err)
	}
	w.Header().Set("Vary", "Accept")
	return writeReport(w, rep, format)
}

// notTriaged says that there is no report, and why.
func notTriaged(a *store.Alert) error {
	e := &api.Error{
		Code: api.NotFound, Message: fmt.Sprintf("alert %s has not been investigated yet", store.ShortID(a.Handle)),
		Hint: "'debut triage " + store.ShortID(a.Handle) + "' does it now",
	}
	switch {
	case a.Triage.Error != "":
		e.Message += ": " + a.Triage.Error
	case !a.Triage.Due.IsZero():
		e.Message += "; it waits since " + a.Triage.Due.Format(time.RFC3339)
	}
	return e
}

// writeReport renders a report whole before anything is written.
func writeReport(w http.ResponseWriter, rep *triage.Report, format string) error {
	var b bytes.Buffer
	var err error
	media := "application/json"
	switch format {
	case formatHTML:
		media = "text/html; charset=utf-8"
		// The page has everything in it, and nothing in it runs.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox")
		w.Header().Set("Referrer-Policy", "no-referrer")
		err = report.TriageHTML(&b, rep)
	case formatMarkdown:
		media = "text/markdown; charset=utf-8"
		err = report.TriageMarkdown(&b, rep)
	case formatText:
		media = "text/plain; charset=utf-8"
		err = report.Triage(&b, rep, report.Options{})
	default:
		// Compact: an answer is one line, as others are.
		err = json.MarshalWrite(&b, rep, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
		b.WriteByte('\n')
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	w.Header().Set("Content-Type", media)
	_, _ = w.Write(b.Bytes()) // an error means that the client is gone
	return nil
}

func (s *Server) listTriage(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	out := api.TriageVersions{Versions: []api.TriageVersion{}}
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		a, err := store.FindAlert(tx, r.PathValue("id"))
		if err != nil {
			return err
		}
		out.Handle, out.Due, out.Error = a.Handle, a.Triage.Due, a.Triage.Error
		if a.Triage.Version == 0 {
			return nil
		}
		last, err := store.GetReport(tx, a.Handle, 0)
		if err != nil {
			return err
		}
		rep, err := report.ReadTriage(last.Report)
		if err != nil {
			return fmt.Errorf("a stored report: %w: %w", store.ErrDamaged, err)
		}
		for _, v := range append(rep.Versions, triage.Version{
			Version: last.Version, AsOf: last.AsOf, Trigger: last.Trigger, Verdict: last.Verdict, Score: last.Score, Confidence: last.Confidence,
		}) {
			out.Versions = append(out.Versions, api.TriageVersion{
				Version: v.Version, AsOf: v.AsOf.UTC(), Trigger: v.Trigger, Verdict: v.Verdict, Score: v.Score, Confidence: v.Confidence,
				Kept: v.Version == 1 || v.Version > last.Version-store.MaxReports+1,
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

func (s *Server) runTriage(w http.ResponseWriter, r *http.Request) error {
	p := s.params(r)
	format := reportFormat(r, p)
	var b api.TriageRequest
	err := p.done()
	if err == nil && r.ContentLength != 0 {
		err = readJSON(r, &b)
	}
	if err != nil {
		return err
	}
	if s.o.Triage == nil {
		return unavailable("an investigation")
	}
	var handle string
	err = s.o.DB.View(r.Context(), func(tx store.Tx) error {
		a, err := store.FindAlert(tx, r.PathValue("id"))
		if err == nil {
			handle = a.Handle
		}
		return err
	})
	if err != nil {
		return err
	}
	who := identity(r.Context())
	rep, kept, err := s.o.Triage.Triage(r.Context(), handle, b, who.By)
	if err != nil {
		return err
	}
	what := "same"
	switch {
	case !b.AsOf.IsZero() || b.Weights != "":
		what = "trial"
	case kept:
		what = "kept"
	}
	if what != "trial" {
		err = s.o.DB.Update(r.Context(), func(tx store.Tx) error {
			return store.AddEntry(tx, &store.Entry{
				Time: s.o.Now().UTC(), By: who.By, From: who.From, Action: "alert.triage", Object: handle,
				Detail: fmt.Sprintf("version %d: %s, score %d", rep.Version, rep.Verdict, rep.Score),
			})
		})
		if err != nil {
			return err
		}
	}
	w.Header().Set(ReportHeader, what)
	w.Header().Set("Vary", "Accept")
	return writeReport(w, rep, format)
}
