package server

// Routes returns method, path and role of every route.
func (s *Server) Routes() [][3]string {
	var out [][3]string
	for _, r := range s.routes {
		out = append(out, [3]string{r.method, r.path, r.role})
	}
	return out
}

// Allows exports allows.
var Allows = allows
