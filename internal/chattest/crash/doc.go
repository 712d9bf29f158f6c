// Package crash ends coordinators in ways that no program can prepare for, while users
// chat. The coordinators are processes of their own; the users are here.
package crash
