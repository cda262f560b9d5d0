"""The lines at the edges of a screen: tabs and status above; answers, actions and key hints below."""
