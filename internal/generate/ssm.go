package generate

import "strconv"

// appendSSMRequest appends the requestParameters of the overlay's actions.
func (r *renderer) appendSSMRequest(b []byte, ev *event, about uint64) ([]byte, bool) {
	switch int(ev.action) {
	case r.a.cat.sendCommand:
		b = append(b, `{"documentName":"AWS-RunShellScript","instanceIds":`...)
		b = r.appendTargets(b, ev)
		return append(b, `,"interactive":false,"parameters":"HIDDEN_DUE_TO_SECURITY_REASONS"}`...), true
	case r.a.cat.startSession:
		b = append(b, `{"target":"`...)
		return append(appendName(b, "ec2", about), `"}`...), true
	case r.a.cat.describeII:
		b = append(b, `{"filters":[{"key":"InstanceIds","values":`...)
		b = r.appendTargets(b, ev)
		return append(b, `}]}`...), true
	}
	return b, false
}

// appendTargets appends the instances that a call is about.
func (r *renderer) appendTargets(b []byte, ev *event) []byte {
	b = append(b, '[')
	for i := range r.targets(ev) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = appendName(b, "ec2", r.resources[i])
		b = append(b, '"')
	}
	return append(b, ']')
}

func (r *renderer) targets(ev *event) int {
	if ev.call < 0 {
		return 1
	}
	return r.a.overlay.calls[ev.call].targets
}

// appendSSMResponse appends the responseElements of the overlay's actions.
func (r *renderer) appendSSMResponse(b []byte, ev *event, region string) ([]byte, bool) {
	s := stream(under(ev.seed, forName))
	switch int(ev.action) {
	case r.a.cat.sendCommand:
		return r.appendCommand(b, ev, &s, region), true
	case r.a.cat.startSession:
		b = append(b, `{"sessionId":"operator-`...)
		b = appendHex(b, s.next(), 16)
		b = append(b, `","tokenValue":"Value hidden due to security reasons.","streamUrl":"wss://ssmmessages.`...)
		b = append(append(b, region...), `.amazonaws.com/v1/data-channel/operator-`...)
		return append(appendHex(b, s.next(), 16), `?role=publish_subscribe"}`...), true
	case r.a.cat.describeII:
		return append(b, "null"...), true
	}
	return b, false
}

func (r *renderer) appendCommand(b []byte, ev *event, s *stream, region string) []byte {
	const clock = "Jan 2, 2006, 3:04:05 PM"
	b = append(b, `{"command":{"commandId":"`...)
	b = appendUUID(b, [2]uint64{s.next(), s.next()})
	b = append(b, `","documentName":"AWS-RunShellScript","documentVersion":"$DEFAULT","comment":"","expiresAfter":"`...)
	b = r.a.cfg.at(ev.t+2*hour).AppendFormat(b, clock)
	b = append(b, `","parameters":"HIDDEN_DUE_TO_SECURITY_REASONS","instanceIds":`...)
	b = r.appendTargets(b, ev)
	b = append(b, `,"targets":[],"requestedDateTime":"`...)
	b = r.a.cfg.at(ev.t).AppendFormat(b, clock)
	b = append(b, `","status":"Pending","statusDetails":"Pending","outputS3Region":"`...)
	b = append(b, region...)
	b = append(b, `","outputS3BucketName":"","outputS3KeyPrefix":"","maxConcurrency":"50","maxErrors":"0","targetCount":`...)
	b = strconv.AppendInt(b, int64(r.targets(ev)), 10)
	return append(b, `,"completedCount":0,"errorCount":0,"deliveryTimedOutCount":0,"serviceRole":"","notificationConfig":`+
		`{"notificationArn":"","notificationEvents":[],"notificationType":""},"cloudWatchOutputConfig":{"cloudWatchLogGroupName":"",`+
		`"cloudWatchOutputEnabled":false},"timeoutSeconds":3600,"clientName":"","clientSourceId":"","interactive":false,`+
		`"hasCancelCommandSignature":false,"hasSendCommandSignature":false,"alarmConfiguration":{"ignorePollAlarmFailure":false,`+
		`"alarms":[]},"triggeredAlarms":[]}}`...)
}
