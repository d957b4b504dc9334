// Package livetest is an endpoint of Systems Manager and EC2 for tests of what AWS is
// asked: it answers what it has been given and refuses the rest as AWS does.
//
//	aws := livetest.New(map[string]string{"ListCommands": `{"Commands":[]}`})
//	s := httptest.NewServer(aws)
//	defer s.Close()
package livetest
